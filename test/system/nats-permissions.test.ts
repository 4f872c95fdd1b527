// What each user of NATS may do, as a real nats-server decides it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { makeNatsUsers } from '#kit/nats-users.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { callApi } from '#libs/nats/api.ts';
import { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, RULES_STREAM, subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link, NO_PAYLOAD } from '#libs/nats/link.ts';
import { type NatsUser, natsUsers } from '#libs/nats/permissions.ts';
import { prepareStreams } from '#libs/nats/prepare-streams.ts';
import { provisionAll } from '#libs/nats/provision.ts';
import { Follower, readAll } from '#libs/nats/reading.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { deleteRecord, purgeBelow } from '#libs/nats/trimming.ts';

const layout: Layout = { partitions: 4, spoolStreams: 2, replicas: 1, spoolSizeMax: 64 * 1024 ** 2 };
const folder = mkdtempSync(join(tmpdir(), 'postrider-permissions-'));
const links = new Map<NatsUser, Link>();
/** What each user was told by the server. */
const said = new Map<NatsUser, string[]>();
let nats: NatsServer;
let questions = 0;

beforeAll(async () => {
  const users = makeNatsUsers(folder, layout);
  nats = await startNats({ more: users.authorization });
  for (const user of natsUsers) {
    const words: string[] = [];
    const credentials = users.credentialsOf(user);
    const onStatus = (status: string) => words.push(status);
    said.set(user, words);
    links.set(user, await connectLink({ url: nats.url, service: user, credentials, onStatus }));
  }
  const made = await provisionAll(as('provision'), layout, { awaitCopies: true });
  expect(made.map(({ kind }) => kind)).toEqual(Array(9).fill('made'));
});

afterAll(async () => {
  for (const link of links.values()) await link.close();
  await nats.stop();
  rmSync(folder, { recursive: true });
});

const as = (user: NatsUser) => links.get(user)!;

type Way = 'Publish' | 'Subscription';

/** Those users to whom the server does not refuse it. */
async function allowed(way: Way, subjectFor: (user: NatsUser) => string): Promise<NatsUser[]> {
  const users: NatsUser[] = [];
  for (const user of natsUsers) {
    const subject = subjectFor(user);
    // The server answers in order: when it has refused this one, it has decided about the one before.
    const last = `nobody.may.${++questions}`;
    const hearing = way === 'Subscription' ? as(user).subscribe(subject, () => {}) : undefined;
    if (way === 'Publish') as(user).publish(subject, NO_PAYLOAD);
    as(user).publish(last, NO_PAYLOAD);
    const isRefused = (what: string) => said.get(user)!.some((words) => words.includes(what));
    await waitUntil(() => isRefused(`Publish to "${last}"`), 5000);
    hearing?.unsubscribe();
    if (!isRefused(`Permissions Violation for ${way} to "${subject}"`)) users.push(user);
  }
  return users;
}

/** Violations of this user so far, apart from those that the test provokes. */
const violations = (user: NatsUser) => said.get(user)!.filter((words) => words.includes('Violation')).length;

const api = (call: string) => `$JS.API.${call}`;
const NOBODY: NatsUser[] = [];

describe('To publish, nats-server allows', () => {
  test.each<[string, NatsUser[]]>([
    [subjects.spool(0), ['ingress', 'queue']],
    [subjects.store(3), ['ingress', 'queue']],
    [subjects.settle(0), ['queue']],
    [subjects.owner(0), ['queue']],
    [subjects.mail(0, 'x'), ['queue']],
    ['queue.0.other', NOBODY],
    [subjects.deliver(9), ['queue']],
    [subjects.outcome(0), ['delivery']],
    [subjects.checkpoint(0), ['queue', 'delivery']],
    [subjects.fence(0), ['queue']],
    [subjects.inflight(0), ['queue']],
    [subjects.outcomeAck('delivery-1'), ['queue']],
    [subjects.presence('queue'), ['queue']],
    [subjects.presence('delivery'), ['delivery']],
    [subjects.presence('ingress'), NOBODY],
    [subjects.traceRules, ['queue']],
    [subjects.resolveRoute, ['queue']],
    [subjects.resolveRecipient, ['ingress']],
    ['admin.queue.list', ['queue']],
    ['admin.queue.flush', ['queue']],
    ['_INBOX.queue.queue-1.answer.1', ['queue']],
    ['_INBOX.ingress.ingress-1.answer.1', NOBODY],
    ['_INBOX.delivery.delivery-1.answer.1', NOBODY],
    ['_INBOX.resolver.resolver-1.answer.1', ['resolver']],
    ['_INBOX.console.console-1.answer.1', ['console']],
    ['_INBOX.provision.provision-1.answer.1', NOBODY],
    ['$KV.CONFIG.key', NOBODY],
    ['$SYS.REQ.SERVER.PING', NOBODY],
  ])('%s to %j', async (subject, users) => {
    expect(await allowed('Publish', () => subject)).toEqual(users);
  });
});

describe('Of JetStream, nats-server allows', () => {
  test.each<[string, NatsUser[]]>([
    ['STREAM.CREATE.SPOOL_0', ['provision']],
    ['STREAM.CREATE.QUEUE', ['provision']],
    ['STREAM.CREATE.RULES', ['provision']],
    ['STREAM.CREATE.OTHER', NOBODY],
    ['STREAM.CREATE.SPOOL_2', NOBODY],
    ['STREAM.UPDATE.STORE_1', ['provision']],
    ['STREAM.UPDATE.SETTLE', ['provision']],
    ['STREAM.DELETE.SPOOL_0', NOBODY],
    ['STREAM.DELETE.QUEUE', NOBODY],
    ['STREAM.RESTORE.QUEUE', NOBODY],
    ['STREAM.SNAPSHOT.SPOOL_0', NOBODY],
    ['STREAM.LEADER.STEPDOWN.SPOOL_0', NOBODY],
    ['STREAM.PEER.REMOVE.SPOOL_0', NOBODY],
    ['STREAM.NAMES', ['provision']],
    ['STREAM.LIST', NOBODY],
    ['STREAM.INFO.SPOOL_1', ['ingress', 'queue', 'provision']],
    ['STREAM.INFO.STORE_0', ['ingress', 'queue', 'provision']],
    ['STREAM.INFO.QUEUE', ['queue', 'provision']],
    ['STREAM.INFO.RULES', ['ingress', 'queue', 'provision']],
    ['STREAM.INFO.SPOOL_2', ['provision']],
    ['STREAM.PURGE.SPOOL_1', ['queue']],
    ['STREAM.PURGE.SETTLE', ['queue']],
    ['STREAM.PURGE.QUEUE', ['queue']],
    ['STREAM.PURGE.STORE_0', NOBODY],
    ['STREAM.PURGE.RULES', NOBODY],
    ['STREAM.MSG.DELETE.STORE_1', ['ingress', 'queue']],
    ['STREAM.MSG.DELETE.QUEUE', ['queue']],
    ['STREAM.MSG.DELETE.SPOOL_0', ['queue']],
    ['STREAM.MSG.DELETE.SETTLE', NOBODY],
    ['STREAM.MSG.GET.SPOOL_0', ['queue', 'delivery']],
    ['STREAM.MSG.GET.QUEUE', ['queue']],
    ['STREAM.MSG.GET.SETTLE', ['queue']],
    ['STREAM.MSG.GET.RULES', ['ingress', 'queue']],
    ['DIRECT.GET.SPOOL_1', ['queue', 'delivery']],
    ['DIRECT.GET.STORE_1', ['queue', 'delivery']],
    ['DIRECT.GET.STORE_1.store.1', NOBODY],
    ['DIRECT.GET.QUEUE.queue.1.owner', NOBODY],
    ['DIRECT.GET.QUEUE.queue.1.m.x', NOBODY],
    ['DIRECT.GET.QUEUE', NOBODY],
    ['DIRECT.GET.RULES.rules.traces', NOBODY],
    ['CONSUMER.CREATE.SPOOL_0.reader.spool.0', ['queue']],
    ['CONSUMER.CREATE.QUEUE.reader.queue.0.m.*', ['queue']],
    ['CONSUMER.CREATE.SETTLE.reader.settle.0', ['queue']],
    ['CONSUMER.CREATE.RULES.reader.rules.traces', ['ingress']],
    ['CONSUMER.CREATE.STORE_0.reader.store.0', NOBODY],
    ['CONSUMER.CREATE.SPOOL_0.reader', NOBODY],
    ['CONSUMER.CREATE.SPOOL_0', NOBODY],
    ['CONSUMER.DURABLE.CREATE.SPOOL_0.reader', NOBODY],
    ['CONSUMER.MSG.NEXT.SPOOL_0.reader', NOBODY],
    ['CONSUMER.DELETE.SPOOL_0.reader', ['queue']],
    ['CONSUMER.LIST.SPOOL_0', NOBODY],
    ['META.LEADER.STEPDOWN', NOBODY],
    ['SERVER.REMOVE', NOBODY],
    ['ACCOUNT.PURGE.$G', NOBODY],
    ['INFO', NOBODY],
  ])('%s to %j', async (call, users) => {
    expect(await allowed('Publish', () => api(call))).toEqual(users);
  });
});

describe('To subscribe, nats-server allows', () => {
  test.each<[string, NatsUser[]]>([
    ['spool.0', NOBODY],
    ['store.*', NOBODY],
    ['settle.*', NOBODY],
    ['queue.>', NOBODY],
    ['deliver.9', ['delivery']],
    ['inflight.0', ['delivery']],
    ['outcome-ack.delivery-1', ['delivery']],
    ['outcome.0', ['queue']],
    ['checkpoint.0', ['queue']],
    ['presence.queue', ['queue', 'delivery']],
    ['presence.delivery', ['queue', 'delivery']],
    ['presence.*', NOBODY],
    ['resolve.route', ['resolver']],
    ['resolve.recipient', ['resolver']],
    ['admin.queue.list', ['queue']],
    ['_INBOX.>', NOBODY],
    ['_INBOX.provision.>', ['provision']],
    ['$JS.EVENT.ADVISORY.>', NOBODY],
    ['$SYS.>', NOBODY],
    ['>', NOBODY],
  ])('%s to %j', async (subject, users) => {
    expect(await allowed('Subscription', () => subject)).toEqual(users);
  });

  test('everybody their own inbox', async () => {
    expect(await allowed('Subscription', (user) => `_INBOX.${user}.x.>`)).toEqual(natsUsers);
  });
});

describe('With its permissions', () => {
  const record = { id: '', giveUpAfterMs: 1000 };

  async function stored(user: NatsUser, subject: string): Promise<number> {
    const payload = Buffer.from(user);
    const kept = await new RecordWriter(as(user)).store({ ...record, subject, payload });
    if (kept.kind !== 'stored') throw new Error(kept.kind);
    return kept.sequence;
  }

  test('queue reads, settles and trims what ingress stored, and delivery reads it', async () => {
    const before = [violations('ingress'), violations('queue'), violations('delivery')];
    const sequence = await stored('ingress', subjects.spool(1));
    const read: number[] = [];
    const query = {
      stream: 'SPOOL_1',
      subject: subjects.spool(1),
      headersOnly: true,
      fromSequence: sequence,
    };
    await readAll(as('queue'), query, (one) => read.push(one.sequence));
    expect(read).toEqual([sequence]);
    expect((await new DirectGet(as('delivery')).bySequence('SPOOL_1', sequence)).kind).toBe('found');
    expect(await purgeBelow(as('queue'), 'SPOOL_1', subjects.spool(1), sequence + 1)).toBe(true);
    expect((await new DirectGet(as('delivery')).bySequence('SPOOL_1', sequence)).kind).toBe('missing');
    expect([violations('ingress'), violations('queue'), violations('delivery')]).toEqual(before);
  });

  test('queue stores states atomically behind its fence, and reads and removes them', async () => {
    const owner = subjects.owner(1);
    const writer = new RecordWriter(as('queue'));
    const claim = { ...record, subject: owner, payload: Buffer.from('me') };
    const claimed = await writer.store({ ...claim, fence: { subject: owner, sequence: 0 } });
    if (claimed.kind !== 'stored') throw new Error(claimed.kind);
    const fence = { subject: owner, sequence: claimed.sequence };
    const drafts = ['a', 'b'].map((id) => ({
      subject: subjects.mail(1, id),
      payload: Buffer.from(id),
      id: '',
      fence,
    }));
    expect((await writer.storeAtomically(drafts, { giveUpAfterMs: 1000 })).kind).toBe('stored');
    const read: string[] = [];
    const query = { stream: 'QUEUE', subject: subjects.mail(1, '*') };
    await readAll(as('queue'), query, (one) => read.push(one.subject));
    expect(read).toEqual([subjects.mail(1, 'a'), subjects.mail(1, 'b')]);
    expect(await deleteRecord(as('queue'), 'QUEUE', claimed.sequence + 2)).toBe(true);
    const last = await new DirectGet(as('queue')).lastOf('QUEUE', owner);
    expect(last).toMatchObject({ kind: 'found', record: { sequence: claimed.sequence } });
  });

  test('ingress takes back a chunk of its own, and delivery cannot', async () => {
    const sequence = await stored('ingress', subjects.store(2));
    expect(await new DirectGet(as('delivery')).bySequence('STORE_0', sequence)).toMatchObject({
      kind: 'found',
    });
    const refused = api('STREAM.MSG.DELETE.STORE_0');
    expect(await as('delivery').request(refused, NO_PAYLOAD, 300)).toEqual({ kind: 'timeout' });
    expect(await deleteRecord(as('ingress'), 'STORE_0', sequence)).toBe(true);
    expect((await new DirectGet(as('delivery')).bySequence('STORE_0', sequence)).kind).toBe('missing');
  });

  test('ingress reads and follows the rules that queue stores', async () => {
    const before = [violations('ingress'), violations('queue')];
    const subject = subjects.traceRules;
    const first = await stored('queue', subject);
    const last = await new DirectGet(as('ingress')).lastOf(RULES_STREAM, subject);
    expect(last).toMatchObject({ kind: 'found', record: { sequence: first } });
    const heard: number[] = [];
    const query = { stream: RULES_STREAM, subject, fromSequence: first + 1 };
    const follower = new Follower(as('ingress'), query, ({ sequence }) => heard.push(sequence));
    await follower.start();
    const second = await stored('queue', subject);
    await waitUntil(() => heard.includes(second), 5000);
    await follower.stop();
    expect([violations('ingress'), violations('queue')]).toEqual(before);
  });

  test('a reader of one subject cannot read another by what it says in its request', async () => {
    const config = {
      name: 'sly',
      deliver_subject: `${as('queue').inbox}.sly`,
      filter_subject: 'queue.*.owner',
    };
    const request = { stream_name: 'QUEUE', config, action: 'create' };
    const answer = await callApi(as('queue'), 'CONSUMER.CREATE.QUEUE.sly.queue.0.m.*', request, 1000);
    expect(answer).toMatchObject({
      kind: 'error',
      error: { description: expect.stringContaining('subject') },
    });
  });

  test('resolver answers a question once, and only who asked', async () => {
    const replies: string[] = [];
    const hearing = as('resolver').subscribe(subjects.resolveRoute, ({ reply }) => {
      replies.push(reply);
      as('resolver').publish(reply, Buffer.from('first'));
      as('resolver').publish(reply, Buffer.from('second'));
    });
    await as('resolver').flush();
    const answer = await as('queue').request(subjects.resolveRoute, NO_PAYLOAD, 1000);
    expect(answer).toMatchObject({ kind: 'answer', data: Buffer.from('first') });
    await waitUntil(() => said.get('resolver')!.some((words) => words.includes(replies[0]!)), 5000);
    hearing.unsubscribe();
  });

  test('workers answer an owner that asks what is in flight', async () => {
    const hearing = as('delivery').subscribe(subjects.inflight(2), ({ reply }) => {
      as('delivery').publish(reply, Buffer.from('nothing'));
    });
    await as('delivery').flush();
    const answers = await as('queue').scatter(subjects.inflight(2), NO_PAYLOAD, {
      expected: 1,
      timeoutMs: 1000,
    });
    expect(answers.map(String)).toEqual(['nothing']);
    hearing.unsubscribe();
  });

  test('services that only check see their streams, and cannot make them', async () => {
    const said: string[] = [];
    const say = (words: string) => said.push(words);
    const settings = { ...layout, provision: 'check' as const };
    await prepareStreams(as('ingress'), settings, { say, only: /^(SPOOL|STORE)_/ });
    await prepareStreams(as('queue'), settings, { say });
    expect(said).toEqual([]);
  });
});
