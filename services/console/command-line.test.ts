import { afterEach, describe, expect, test } from '@jest/globals';
import type { QuarantineAdminCalls } from '#libs/rpc/quarantine-admin.ts';
import { type QueueAdminOptions, type QueueAdminServer, serveQueueAdmin } from '#libs/rpc/queue-admin.ts';
import type { TraceAdminCalls } from '#libs/rpc/trace-admin.ts';
import type { FlushRequest, ListRequest } from '#proto/postrider/v1/admin.ts';
import { run } from './command-line.ts';

const WHOLE = { instances: 1, answered: 1, partitionsMissed: 0 };
const EMPTY = { mails: [], summary: { mails: 0, phases: [], clocks: undefined, ...WHOLE } };

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

let server: QueueAdminServer | undefined;
const heard: (ListRequest | FlushRequest)[] = [];

async function serve(over: Partial<QueueAdminOptions> = {}): Promise<string> {
  heard.length = 0;
  server = await serveQueueAdmin({
    address: '127.0.0.1',
    port: 0,
    list: async (request) => {
      heard.push(request);
      return EMPTY;
    },
    flush: async (request) => {
      heard.push(request);
      return { recipients: 2, ...WHOLE };
    },
    traces: NO_RULES,
    quarantine: NOTHING_ASIDE,
    ...over,
  });
  return `127.0.0.1:${server.port}`;
}

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function postrider(line: string, env: Record<string, string> = {}) {
  const said = { out: '', err: '', code: -1 };
  said.code = await run(['node', 'postrider', ...line.split(' ')], {
    env,
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    now: () => 0,
  });
  return said;
}

describe('postrider queue ls', () => {
  test('asks the queue of --admin and prints the list', async () => {
    const admin = await serve();
    expect(await postrider(`queue ls --admin ${admin}`)).toEqual({
      out: 'The queue is empty.\n',
      err: '',
      code: 0,
    });
    expect(heard).toEqual([{ domain: '', limit: 1000 }]);
  });

  test('asks the queue of POSTRIDER_ADMIN, for a domain, and prints JSON', async () => {
    const env = { POSTRIDER_ADMIN: await serve() };
    const { out, code } = await postrider('queue ls --domain B.example --limit 5 --json', env);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual(EMPTY);
    expect(heard).toEqual([{ domain: 'b.example', limit: 5 }]);
  });

  test('says in one line that no queue is there', async () => {
    const admin = await serve();
    await server?.stop();
    expect(await postrider(`queue ls --admin ${admin}`)).toEqual({
      out: '',
      err: `postrider: no queue answers at ${admin}: is it running, and is that its admin port?\n`,
      code: 1,
    });
  });

  test.each(['0', '-1', '1e3', '0x10', 'many'])('refuses a limit of %s', async (limit) => {
    const { err, code } = await postrider(`queue ls --limit ${limit}`);
    expect(err).toContain('expected a number from 1 to 999999.');
    expect(code).toBe(1);
  });
});

describe('postrider queue flush', () => {
  test.each([
    ['--queue-id 00a', { queueId: '00a', domain: '' }],
    ['--domain B.example', { queueId: '', domain: 'b.example' }],
    ['--all', { queueId: '', domain: '' }],
  ])('%s asks for just that', async (what, request) => {
    const admin = await serve();
    const { out, code } = await postrider(`queue flush ${what} --admin ${admin}`);
    expect(out).toBe('2 recipients made due now.\n');
    expect(code).toBe(0);
    expect(heard).toEqual([request]);
  });

  test('says that nothing matched', async () => {
    const admin = await serve({ flush: async () => ({ recipients: 0, ...WHOLE }) });
    const { out } = await postrider(`queue flush --all --admin ${admin}`);
    expect(out).toContain('Nothing that matches waits');
  });

  test('says what could not be made due, and never that nothing waits when it could not look everywhere', async () => {
    const missed = { instances: 2, answered: 1, partitionsMissed: 16 };
    const some = await serve({ flush: async () => ({ recipients: 3, ...missed }) });
    expect((await postrider(`queue flush --all --admin ${some}`)).out).toBe(
      '3 recipients made due now.\n' +
        'INCOMPLETE: 1 of 2 queue instances answered; ask again in a moment.\n' +
        'INCOMPLETE: mail of 16 partitions could not be made due, since owners change; ask again in a moment.\n',
    );
    await server!.stop();
    const none = await serve({ flush: async () => ({ recipients: 0, ...WHOLE, partitionsMissed: 1 }) });
    expect((await postrider(`queue flush --queue-id 00a --admin ${none}`)).out).toBe(
      'Nothing that matches was found.\n' +
        'INCOMPLETE: mail of 1 partition could not be made due, since owners change; ask again in a moment.\n',
    );
  });

  test.each(['', ' --all --domain b.example'])('refuses%s', async (what) => {
    const { err, code } = await postrider(`queue flush${what}`);
    expect(err).toContain('exactly one of --queue-id, --domain and --all');
    expect(code).toBe(1);
  });
});

describe('postrider', () => {
  test('without arguments and with --help says what there is', async () => {
    expect((await postrider('--help')).code).toBe(0);
    expect((await postrider('queue --help')).out).toContain('flush');
    expect((await postrider('queue nonsense')).code).toBe(1);
  });
});
