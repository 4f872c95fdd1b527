import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { callApi } from '#libs/nats/api.ts';
import { DirectGet, firstRecord, recordAtLeader } from '#libs/nats/direct-get.ts';
import { type Layout, subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { Presence } from '#libs/nats/presence.ts';
import { provision } from '#libs/nats/provision.ts';
import { Follower, readAll, type StoredRecord } from '#libs/nats/reading.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { reachAtLeader } from '#libs/nats/stream-subjects.ts';
import { deleteRecord, purgeBelow } from '#libs/nats/trimming.ts';

const layout: Layout = {
  partitions: 4,
  spoolStreams: 2,
  replicas: 1,
  spoolSizeMax: 1_000_000,
};
let nats: NatsServer;
let link: Link;
let writer: RecordWriter;

beforeAll(async () => {
  nats = await startNats();
  link = await connectLink({ url: nats.url, service: 'test' });
  writer = new RecordWriter(link);
  await provision(link, layout);
}, 30_000);

afterAll(async () => {
  await link?.close();
  await nats?.stop();
});

const record = (subject: string, payload: string, id = '') => ({
  subject,
  payload: Buffer.from(payload),
  id,
  giveUpAfterMs: 5000,
});

/** Resolves when `condition` holds; fails the test after five seconds. */
function until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  return waitUntil(condition, timeoutMs);
}

import { storeDrafts } from '../../services/queue/store-drafts.ts';

describe('Streams', () => {
  test('are made once, and a second time nothing changes', async () => {
    await provision(link, layout);
  });

  test('refuse another number of partitions', async () => {
    await expect(provision(link, { ...layout, partitions: 5 })).rejects.toThrow('nats.partitions');
  });
});

describe('A record', () => {
  test('is stored once, however often it is sent with its id', async () => {
    const first = await writer.store(record(subjects.spool(0), 'one', 'id-1'));
    expect(first).toMatchObject({ kind: 'stored', duplicate: false });
    const second = await writer.store(record(subjects.spool(0), 'one', 'id-1'));
    expect(second).toEqual({ ...first, duplicate: true });
  });

  test('is refused behind a fence that has moved', async () => {
    const owner = subjects.owner(0);
    const claim = { ...record(owner, 'a'), fence: { subject: owner, sequence: 0 } };
    const claimed = await writer.store(claim);
    expect(claimed.kind).toBe('stored');
    expect(await writer.store(claim)).toEqual({ kind: 'conflict' });
    const epoch = claimed.kind === 'stored' ? claimed.sequence : 0;
    const state = { ...record(subjects.mail(0, 'x'), 's'), fence: { subject: owner, sequence: epoch } };
    expect((await writer.store(state)).kind).toBe('stored');
    expect((await writer.store({ ...claim, fence: { subject: owner, sequence: epoch } })).kind).toBe(
      'stored',
    );
    expect(await writer.store(state)).toEqual({ kind: 'conflict' });
  });

  test('is refused when its stream is full, or when it is too big', async () => {
    const big = Buffer.alloc(600_000);
    expect((await writer.store({ ...record(subjects.spool(1), ''), payload: big })).kind).toBe('stored');
    expect(await writer.store({ ...record(subjects.spool(1), ''), payload: big })).toEqual({ kind: 'full' });
    const huge = Buffer.alloc(9_000_000);
    expect(await writer.store({ ...record(subjects.store(0), ''), payload: huge })).toEqual({
      kind: 'too-big',
    });
  });

  test('is read by its sequence and as the last of its subject', async () => {
    const direct = new DirectGet(link);
    const stored = await writer.store({ ...record(subjects.store(0), 'body'), headers: { 'X-Test': 'yes' } });
    const sequence = stored.kind === 'stored' ? stored.sequence : 0;
    const got = await direct.bySequence('STORE_0', sequence);
    expect(got.kind === 'found' && got.record.header('X-Test')).toBe('yes');
    expect(got.kind === 'found' && Buffer.from(got.record.data).toString()).toBe('body');
    const last = await direct.lastOf('STORE_0', subjects.store(0));
    expect(last.kind === 'found' && last.record.sequence).toBe(sequence);
    expect(await direct.bySequence('STORE_0', 999_999)).toEqual({ kind: 'missing' });
    expect(await direct.bySequence('NOT_THERE', 1)).toEqual({ kind: 'unavailable' });
    expect(await deleteRecord(link, 'STORE_0', sequence)).toBe(true);
    // Also when it has gone already, or never was.
    expect(await deleteRecord(link, 'STORE_0', sequence)).toBe(true);
    expect(await deleteRecord(link, 'STORE_0', sequence + 1000)).toBe(true);
    expect(await direct.bySequence('STORE_0', sequence)).toEqual({ kind: 'missing' });
  });

  test('that is stored already is not stored again with others, and its place is known', async () => {
    const stores = { writer, replicas: 1, giveUpAfterMs: 5000 };
    const drafts = Array.from({ length: 20 }, (_, i) => {
      return { subject: subjects.store(0), payload: Buffer.from(`${i}`), id: `copy.again${i}.7` };
    });
    const first = await storeDrafts(drafts.slice(0, 14), stores);
    const again = await storeDrafts(drafts, stores);
    expect(again.slice(0, 14)).toEqual(first.map((one) => ({ ...one, duplicate: true })));
    const read: StoredRecord[] = [];
    await readAll(link, { stream: 'STORE_0', subject: subjects.store(0) }, (one) => read.push(one));
    const sequences = again.map((one) => (one.kind === 'stored' ? one.sequence : 0));
    expect(read.filter(({ sequence }) => sequences.includes(sequence))).toHaveLength(20);
    expect(read.at(-1)!.sequence - sequences[0]!).toBe(19);
  });

  test('that is left of its subject is known to the leader, and how far the stream reaches', async () => {
    const sequences: number[] = [];
    for (let i = 0; i < 3; i++) {
      const record = { subject: subjects.settle(0), payload: Buffer.from(`${i}`), id: '' };
      const stored = await writer.store({ ...record, giveUpAfterMs: 5000 });
      sequences.push(stored.kind === 'stored' ? stored.sequence : 0);
    }
    expect(await purgeBelow(link, 'SETTLE', subjects.settle(0), sequences[1]!)).toBe(true);
    const first = await firstRecord(link, 'SETTLE', subjects.settle(0));
    expect(first.kind === 'found' && first.record.sequence).toBe(sequences[1]);
    expect(await firstRecord(link, 'SETTLE', subjects.settle(3))).toEqual({ kind: 'missing' });
    const [removed, left] = await Promise.all(
      sequences.slice(0, 2).map((sequence) => recordAtLeader(link, 'SETTLE', sequence)),
    );
    expect([removed!.kind, left!.kind]).toEqual(['missing', 'found']);
    const reach = await reachAtLeader(link, 'SETTLE');
    expect(reach!.lastSequence).toBe(sequences[2]);
    expect(Math.abs(reach!.nowMs - Date.now())).toBeLessThan(60_000);
  });

  test('is stored with others or not at all', async () => {
    const fence = { subject: subjects.owner(3), sequence: 0 };
    const drafts = Array.from({ length: 20 }, (_, i) => ({
      subject: subjects.mail(3, `m${i}`),
      payload: Buffer.from(`${i}`),
      id: '',
      fence,
    }));
    const last = await writer.storeAtomically(drafts, { giveUpAfterMs: 5000 });
    expect(last.kind).toBe('stored');
    const read: StoredRecord[] = [];
    await readAll(link, { stream: 'QUEUE', subject: subjects.mail(3, '*') }, (one) => read.push(one));
    expect(read.map((one) => Buffer.from(one.data).toString())).toEqual(drafts.map((_, i) => `${i}`));
    expect(last.kind === 'stored' && last.sequence).toBe(read.at(-1)!.sequence);
    const moved = drafts.map((draft) => ({ ...draft, fence: { subject: fence.subject, sequence: 7 } }));
    expect(await writer.storeAtomically(moved, { giveUpAfterMs: 5000 })).toEqual({ kind: 'conflict' });
  });
});

describe('Reading', () => {
  test('of nothing ends at once', async () => {
    await readAll(link, { stream: 'SETTLE', subject: subjects.settle(2) }, () => {
      throw new Error('there is nothing');
    });
  });

  test('follows new records, and goes on behind the last one when the server was killed', async () => {
    const heard: number[] = [];
    const query = { stream: 'SETTLE', subject: subjects.settle(1), headersOnly: true, fromSequence: 1 };
    const follower = new Follower(link, query, (one) => heard.push(one.sequence));
    await writer.store(record(subjects.settle(1), 'before'));
    await follower.start();
    await writer.store(record(subjects.settle(1), 'after'));
    await until(() => heard.length === 2);
    await nats.kill('SIGKILL');
    await nats.restart();
    const stored = await writer.store({ ...record(subjects.settle(1), 'later'), giveUpAfterMs: 20_000 });
    expect(stored.kind).toBe('stored');
    await until(() => heard.length === 3);
    await purgeBelow(link, 'SETTLE', subjects.settle(1), heard[2]!);
    const left: number[] = [];
    await readAll(link, { stream: 'SETTLE', subject: subjects.settle(1) }, (one) => left.push(one.sequence));
    expect(left).toEqual([heard[2]]);
    await follower.stop();
  }, 40_000);

  test('of a stream that is not there is known as such, until it can be read', async () => {
    const heard: string[] = [];
    const follower = new Follower(link, { stream: 'LATE', subject: 'late' }, ({ data }) =>
      heard.push(Buffer.from(data).toString()),
    );
    await follower.start();
    expect(link.followers.down).toBe(1);
    const config = { name: 'LATE', subjects: ['late'], storage: 'memory' };
    expect((await callApi(link, 'STREAM.CREATE.LATE', config, 5000)).kind).toBe('ok');
    await until(() => link.followers.down === 0);
    await writer.store(record('late', 'at last'));
    await until(() => heard.length === 1);
    await callApi(link, 'STREAM.DELETE.LATE', undefined, 5000);
    await until(() => link.followers.down === 1, 15_000);
    await follower.stop();
    expect(link.followers.down).toBe(0);
  }, 40_000);

  test('of many records gets them all in order', async () => {
    for (let from = 0; from < 3000; from += 500) {
      const drafts = Array.from({ length: 500 }, (_, i) => ({
        subject: subjects.store(2),
        payload: Buffer.from(String(from + i)),
        id: '',
      }));
      expect((await writer.storeAtomically(drafts, { giveUpAfterMs: 5000 })).kind).toBe('stored');
    }
    const read: string[] = [];
    await readAll(link, { stream: 'STORE_0', subject: subjects.store(2) }, (one) => {
      read.push(Buffer.from(one.data).toString());
    });
    expect(read).toEqual(Array.from({ length: 3000 }, (_, i) => String(i)));
  }, 20_000);
});

describe('Questions', () => {
  test('are answered, or it is known at once that nobody listens', async () => {
    const other = link.subscribe('echo', (message) => link.publish(message.reply, message.data));
    expect(await link.request('echo', Buffer.from('x'), 1000)).toMatchObject({ kind: 'answer' });
    other.unsubscribe();
    expect(await link.request('echo', Buffer.from('x'), 1000)).toEqual({ kind: 'nobody' });
  });

  test('to everybody gather all answers', async () => {
    const answer = (word: string) => (message: { reply: string }) =>
      link.publish(message.reply, Buffer.from(word));
    const subscriptions = [link.subscribe('all', answer('a')), link.subscribe('all', answer('b'))];
    const answers = await link.scatter('all', new Uint8Array(0), { expected: 2, timeoutMs: 2000 });
    expect(answers.map((one) => Buffer.from(one).toString()).toSorted()).toEqual(['a', 'b']);
    for (const one of subscriptions) one.unsubscribe();
  });
});

describe('Presence', () => {
  test('knows who lives and what they hold, and hears a goodbye at once', async () => {
    const second = await connectLink({ url: nats.url, service: 'queue' });
    const mine = new Presence(link, { service: 'queue', watch: ['queue'], holds: () => Buffer.from([1]) });
    const holds = Buffer.from([2]);
    const theirs = new Presence(second, { service: 'queue', watch: ['queue'], holds: () => holds });
    await Promise.all([mine.start(), theirs.start()]);
    expect(mine.members('queue')).toHaveLength(2);
    expect(theirs.members('queue')).toHaveLength(2);
    const changes: string[] = [];
    mine.onChange((service) => changes.push(service));
    holds[0] = 3;
    theirs.announceNow();
    await until(() => changes.length === 1);
    await theirs.leave();
    await until(() => mine.members('queue').length === 1);
    await mine.leave();
    await second.close();
  }, 15_000);
});
