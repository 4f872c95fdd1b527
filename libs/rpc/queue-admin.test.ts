import { afterEach, describe, expect, test } from '@jest/globals';
import type { FlushRequest, ListRequest, QueuedMail, QueueSummary } from '#proto/postrider/v1/admin.ts';
import { endpointText } from './listening.ts';
import type { QuarantineAdminCalls } from './quarantine-admin.ts';
import { type QueueAdminServer, serveQueueAdmin } from './queue-admin.ts';
import { connectQueueAdmin, type QueueAdmin } from './queue-admin-client.ts';
import type { TraceAdminCalls } from './trace-admin.ts';

const flushed = (recipients: number) => ({ recipients, instances: 2, answered: 1, partitionsMissed: 3 });

const SUMMARY: QueueSummary = {
  mails: 2,
  phases: [{ phase: 'deferred', recipients: 2 }],
  instances: 1,
  answered: 1,
  partitionsMissed: 3,
  clocks: { differMs: 12_300, instance: 'queue-b', isAhead: true },
};

function mail(queueId: string): QueuedMail {
  const recipient = {
    forwardPath: 'bob@b.example',
    domain: 'b.example',
    phase: 'deferred',
    site: 'smtp:mx:25',
    attempts: 3,
    nextAttemptAtMs: 1_700_000_000_000,
    lastReply: { code: 451, enhanced: '4.3.0', text: 'busy', host: 'mx' },
  };
  return {
    queueId,
    reversePath: 'ann@a.example',
    acceptedAtMs: 1_699_000_000_000,
    size: 4096,
    recipients: [recipient],
    moreRecipients: 0,
  };
}

const NO_RULES: TraceAdminCalls = {
  force: async () => ({ kind: 'invalid', reason: 'no rules here' }),
  listForced: async () => [],
  stop: async () => false,
};

const NOTHING_ASIDE: QuarantineAdminCalls = {
  list: async () => [],
  show: async () => undefined,
  drop: async () => false,
};

const running: { stop(): Promise<void> }[] = [];
const clients: QueueAdmin[] = [];

async function serve(over: Partial<Parameters<typeof serveQueueAdmin>[0]> = {}): Promise<QueueAdminServer> {
  const server = await serveQueueAdmin({
    address: '127.0.0.1',
    port: 0,
    list: async () => ({ mails: [], summary: SUMMARY }),
    flush: async () => flushed(0),
    traces: NO_RULES,
    quarantine: NOTHING_ASIDE,
    ...over,
  });
  running.push(server);
  return server;
}

function clientOf(port: number): QueueAdmin {
  const client = connectQueueAdmin(`127.0.0.1:${port}`);
  clients.push(client);
  return client;
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

describe('the admin server', () => {
  test('gives the mails and the summary that the queue has', async () => {
    const asked: ListRequest[] = [];
    const { port } = await serve({
      list: async (request) => {
        asked.push(request);
        return { mails: [mail('a'), mail('b')], summary: SUMMARY };
      },
    });
    const listing = await clientOf(port).list({ domain: 'b.example', limit: 5 });
    expect(listing).toEqual({ mails: [mail('a'), mail('b')], summary: SUMMARY });
    expect(asked).toEqual([{ domain: 'b.example', limit: 5 }]);
  });

  test('gives a list that is longer than its buffers', async () => {
    const mails = Array.from({ length: 3000 }, (_, i) => mail(`mail ${i}`));
    const { port } = await serve({ list: async () => ({ mails, summary: SUMMARY }) });
    const listing = await clientOf(port).list({ domain: '', limit: 0 });
    expect(listing.mails).toHaveLength(3000);
    expect(listing.mails.at(-1)).toEqual(mails.at(-1));
  });

  test('flushes and says how many recipients that made due', async () => {
    const asked: FlushRequest[] = [];
    const { port } = await serve({
      flush: async (request) => {
        asked.push(request);
        return flushed(7);
      },
    });
    expect(await clientOf(port).flush({ queueId: '', domain: 'b.example' })).toEqual(flushed(7));
    expect(asked).toEqual([{ queueId: '', domain: 'b.example' }]);
  });

  test('says why it cannot answer', async () => {
    const fail = () => Promise.reject(new Error('the link is down'));
    const { port } = await serve({ list: fail, flush: fail });
    const client = clientOf(port);
    const refused = `the queue at 127.0.0.1:${port} refused: the link is down`;
    await expect(client.list({ domain: '', limit: 0 })).rejects.toThrow(refused);
    await expect(client.flush({ queueId: '', domain: '' })).rejects.toThrow(refused);
  });

  test('takes another port when its own is taken', async () => {
    const first = await serve();
    const second = await serve({ port: first.port, flush: async () => flushed(2) });
    expect(second.port).not.toBe(first.port);
    expect(await clientOf(second.port).flush({ queueId: '', domain: '' })).toEqual(flushed(2));
  });

  test('does not start on an address that is not ours', async () => {
    await expect(serve({ address: '192.0.2.1' })).rejects.toThrow('admin: cannot listen on 192.0.2.1:0');
  });
});

describe('the admin client', () => {
  test('says in one line that nobody is there', async () => {
    const { port, stop } = await serve();
    await stop();
    const client = clientOf(port);
    const nobody = `no queue answers at 127.0.0.1:${port}: is it running, and is that its admin port?`;
    await expect(client.list({ domain: '', limit: 0 })).rejects.toThrow(nobody);
    await expect(client.flush({ queueId: '', domain: '' })).rejects.toThrow(nobody);
  });
});

describe('an endpoint', () => {
  test('has brackets around an IPv6 address', () => {
    expect(endpointText('::1', 7070)).toBe('[::1]:7070');
    expect(endpointText('localhost', 7070)).toBe('localhost:7070');
  });
});
