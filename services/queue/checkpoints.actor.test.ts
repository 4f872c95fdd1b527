import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { IncomingRecord, Link } from '#libs/nats/link.ts';
import type { RecordToStore, Stored } from '#libs/nats/records.ts';
import { Checkpoint, Fence } from '#proto/postrider/v1/job.ts';
import { Checkpoints } from './checkpoints.actor.ts';

const EPOCH = 10;
const [CHECKPOINT, FENCE] = ['checkpoint.0', 'fence.0'];
/** Attempts of this owner, and of an earlier one. */
const [ours, earlier] = ['q.1.a', 'p.1.9'];
/** Who lives when a worker is given up. */
const OTHERS = new Set(['other']);

interface InStream {
  subject: string;
  sequence: number;
  data: Uint8Array;
  /** Only a copy that lags behind still shows it. */
  isRemoved?: true;
}

/** As much of a JetStream as one partition needs, and of a link to it. */
class FakeStream {
  records: InStream[] = [];
  sequence = 0;
  readonly purges: number[] = [];
  readonly #hearers = new Map<string, (record: IncomingRecord) => void>();
  readonly #consumers = new Map<string, { to: string; delivered: number }>();
  #reconnected: (() => void)[] = [];

  readonly link = {
    instance: 'queue-1',
    inbox: '_INBOX.queue-1',
    connected: true,
    followers: { well: () => {}, failed: () => {} },
    publish: () => true,
    request: async (subject: string, data: Uint8Array) => {
      const answer = this.#api(subject.slice('$JS.API.'.length), data);
      return { kind: 'answer' as const, data: Buffer.from(JSON.stringify(answer)) };
    },
    subscribeRecords: (subject: string, hear: (record: IncomingRecord) => void) => {
      this.#hearers.set(subject, hear);
      return { unsubscribe: () => this.#hearers.delete(subject) };
    },
    onReconnected: (act: () => void) => {
      this.#reconnected.push(act);
      return () => {
        this.#reconnected = this.#reconnected.filter((one) => one !== act);
      };
    },
  } as unknown as Link;

  readonly writer = {
    store: async ({ subject, payload, fence }: RecordToStore): Promise<Stored> => {
      if (fence !== undefined && this.#last(fence.subject)?.sequence !== (fence.sequence || undefined)) {
        return { kind: 'conflict' };
      }
      return { kind: 'stored', sequence: this.add(subject, payload as Uint8Array), duplicate: false };
    },
  };

  add(subject: string, data: Uint8Array): number {
    const record = { subject, sequence: ++this.sequence, data };
    this.records.push(record);
    if (subject === CHECKPOINT) for (const name of this.#consumers.keys()) this.#deliver(name, record, 0);
    return this.sequence;
  }

  /** A worker passes these. */
  pass(worker: string, ...attemptIds: string[]): number {
    return this.add(CHECKPOINT, Checkpoint.encode({ worker, attemptIds, ended: [], parts: [] }).finish());
  }

  /** Nobody's connection is lost, but all that was stored. */
  beginAnew(): void {
    this.records = [];
    this.sequence = 0;
    this.#consumers.clear();
  }

  reconnect(): void {
    for (const act of this.#reconnected) act();
  }

  #last(subject: string): InStream | undefined {
    return this.records.findLast((one) => one.subject === subject);
  }

  #api(call: string, data: Uint8Array): object {
    const [kind, verb] = call.split('.') as [string, string];
    const asked = data.length === 0 ? {} : JSON.parse(Buffer.from(data).toString());
    if (kind === 'CONSUMER') return verb === 'CREATE' ? this.#consume(asked.config) : {};
    if (verb === 'PURGE') {
      this.purges.push(asked.seq);
      this.records = this.records.filter(({ sequence, subject }) => {
        return subject !== asked.filter || sequence >= asked.seq;
      });
      return {};
    }
    const { seq, next_by_subj, last_by_subj } = asked;
    const isNext = (one: InStream) => one.subject === next_by_subj && one.sequence >= seq && !one.isRemoved;
    const found = next_by_subj === undefined ? this.#last(last_by_subj) : this.records.find(isNext);
    if (found === undefined) return { error: { code: 404, err_code: 10037 } };
    const { subject, sequence } = found;
    return { message: { subject, seq: sequence, data: Buffer.from(found.data).toString('base64') } };
  }

  #consume(config: { name: string; deliver_subject: string; opt_start_seq: number }): object {
    this.#consumers.set(config.name, { to: config.deliver_subject, delivered: 0 });
    const there = this.records.filter(
      ({ subject, sequence }) => subject === CHECKPOINT && sequence >= config.opt_start_seq,
    );
    for (const [i, record] of there.entries()) this.#deliver(config.name, record, there.length - 1 - i);
    return { num_pending: there.length };
  }

  #deliver(name: string, { subject, sequence, data }: InStream, pending: number): void {
    const consumer = this.#consumers.get(name)!;
    consumer.delivered += 1;
    const reply = `$JS.ACK.CHECKPOINTS.${name}.1.${sequence}.${consumer.delivered}.0.${pending}`;
    const record = { subject, data, reply, status: 0, header: () => undefined } as unknown as IncomingRecord;
    setImmediate(() => this.#hearers.get(consumer.to)?.(record));
  }
}

let stream: FakeStream;
let heard: string[];
let troubles: string[];
/** Attempts that the owner has. */
let out: Set<string>;
let checkpoints: Checkpoints;
let isOwner: boolean;
let layout: { replicas: number };
let room: { renewBelow: number };

beforeEach(() => {
  stream = new FakeStream();
  heard = [];
  troubles = [];
  isOwner = true;
  layout = { replicas: 1 };
  out = new Set([ours]);
  room = { renewBelow: 0 };
  checkpoints = new Checkpoints({
    partition: 0,
    epoch: EPOCH,
    link: stream.link,
    layout,
    writer: stream.writer,
    now: () => performance.now(),
    checkpointRoom: room,
    onCheckpoint: (worker, ids, isFresh) => heard.push(`${worker} ${ids} ${isFresh ? 'fresh' : 'known'}`),
    isOver: (attemptId) => !out.has(attemptId),
    isStray: (attemptId) => !out.has(attemptId) && attemptId.endsWith('.9'),
    isOwner: async () => isOwner,
    onFenced: () => troubles.push('fenced'),
    onTrouble: (reason) => troubles.push(reason),
  });
});

afterEach(() => checkpoints.stop());

async function opened(): Promise<void> {
  expect(await checkpoints.fence()).toBe('fenced');
  await checkpoints.load();
  await checkpoints.follow();
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((done) => setImmediate(done));
}

const fresh = () => heard.filter((one) => one.endsWith('fresh'));
const fences = () => stream.records.filter(({ subject }) => subject === FENCE);

describe('The checkpoints of a partition', () => {
  test('are all heard before a worker is given up, also those of a stream that began anew in silence', async () => {
    for (let i = 0; i < 5; i++) stream.pass('w', `old.${i}.8`);
    await opened();
    stream.beginAnew();
    stream.pass('w', ours);
    await until(() => stream.records.length === 1);
    let isGivenUp = false;
    while (!isGivenUp) isGivenUp = await checkpoints.giveUp(OTHERS, 1);
    expect(fresh()).toEqual([`w ${ours} fresh`]);
    expect(checkpoints.ledger.get(ours)).toMatchObject({ worker: 'w' });
    expect(Fence.decode(fences().at(-1)!.data).admitted).toEqual({ workers: ['other'], through: 1 });
  });

  test('are all heard before it is said that they were, also when there is nobody to be given up', async () => {
    for (let i = 0; i < 5; i++) stream.pass('w', `old.${i}.8`);
    await opened();
    expect(await checkpoints.giveUp(OTHERS, 1)).toBe(true);
    stream.beginAnew();
    stream.pass('w', ours);
    expect(await checkpoints.giveUp(OTHERS, 1)).toBe(false);
    expect(await checkpoints.giveUp(OTHERS, 1)).toBe(true);
    expect(fresh()).toEqual([`w ${ours} fresh`]);
  });

  test('of a new stream that has outgrown the old one are read from its beginning, too', async () => {
    await opened();
    stream.beginAnew();
    stream.pass('w', ours);
    for (let i = 0; i < 9; i++) stream.add('checkpoint.1', new Uint8Array(0));
    expect(await checkpoints.giveUp(OTHERS, 1)).toBe(true);
    expect(checkpoints.ledger.get(ours)).toMatchObject({ worker: 'w' });
    expect(await checkpoints.verify()).toBe(true);
    expect(troubles).toHaveLength(1);
  });

  test('that an earlier owner left open are no news when they are read or copied again, and stay open', async () => {
    stream.pass('w', earlier);
    await opened();
    stream.reconnect();
    await until(() => stream.records.filter(({ subject }) => subject === CHECKPOINT).length === 2);
    await until(() => checkpoints.ledger.readTo === stream.sequence);
    expect(fresh()).toEqual([]);
    expect(checkpoints.ledger.get(earlier)).toMatchObject({ worker: 'w' });
    expect(checkpoints.ledger.lowWater()).toBe(stream.sequence);
    expect(troubles).toEqual([]);
  });

  test('are not removed by numbers of a stream that is lost', async () => {
    await opened();
    for (let i = 0; i < 9; i++) stream.pass('w', `over.${i}.a`);
    await until(() => checkpoints.ledger.readTo === stream.sequence);
    stream.beginAnew();
    stream.pass('w', ours);
    stream.reconnect();
    await checkpoints.trim();
    await until(() => checkpoints.ledger.get(ours) !== undefined);
    expect(stream.purges).toEqual([]);
  });

  test('are not copied when they have just ended', async () => {
    stream.pass('w', ours);
    stream.pass('w', earlier);
    await opened();
    checkpoints.end(ours, () => {});
    stream.reconnect();
    await until(() => stream.records.length === 4);
    expect(Checkpoint.decode(stream.records.at(-1)!.data).attemptIds).toEqual([earlier]);
  });

  test('go on behind a fence of ours whose acknowledgement was lost', async () => {
    await opened();
    const [first] = fences();
    stream.add(FENCE, first!.data);
    expect(await checkpoints.verify()).toBe(true);
    stream.add(FENCE, first!.data);
    expect(await checkpoints.giveUp(OTHERS, 1)).toBe(true);
    stream.pass('w', ours);
    await until(() => checkpoints.ledger.get(ours) !== undefined);
    let isStored = false;
    checkpoints.end(ours, () => {
      isStored = true;
    });
    checkpoints.flush();
    await until(() => isStored);
    expect(troubles).toEqual([]);
  });

  test('get their fence again as soon as a worker misses it, once for all that do', async () => {
    stream.pass('w', earlier);
    await opened();
    stream.beginAnew();
    checkpoints.missed();
    checkpoints.missed();
    await until(() => stream.records.some(({ subject }) => subject === CHECKPOINT));
    expect(fences()).toHaveLength(1);
    expect(Checkpoint.decode(stream.records.at(-1)!.data).attemptIds).toEqual([earlier]);
  });

  test('get no fence of an owner that may have been replaced when the stream began anew', async () => {
    await opened();
    stream.beginAnew();
    isOwner = false;
    expect(await checkpoints.verify()).toBe(false);
    expect(await checkpoints.giveUp(OTHERS, 1)).toBe(false);
    expect(fences()).toEqual([]);
  });

  test('that a newer owner has let go on are not removed by one that does not know it yet', async () => {
    await opened();
    stream.add(FENCE, Fence.encode({ epoch: EPOCH + 1, excluded: [], admitted: undefined }).finish());
    stream.pass('w', earlier);
    await until(() => checkpoints.ledger.readTo === stream.sequence);
    const isThere = () => stream.records.some(({ subject }) => subject === CHECKPOINT);
    await checkpoints.trim();
    expect(isThere()).toBe(true);
    checkpoints.flush();
    await until(() => troubles.includes('fenced'));
    await checkpoints.trim();
    expect(isThere()).toBe(true);
  });

  test('that nobody here knows are removed when it is stored that they mean nothing', async () => {
    await opened();
    stream.pass('w', earlier);
    await until(() => checkpoints.ledger.get(earlier) !== undefined);
    checkpoints.flush();
    await until(() => checkpoints.ledger.get(earlier) === undefined);
    expect(Checkpoint.decode(stream.records.at(-1)!.data).ended).toEqual([earlier]);
    await until(() => checkpoints.ledger.readTo === stream.sequence);
    await checkpoints.trim();
    expect(stream.purges).toEqual([stream.sequence + 1]);
  });

  test.each([3, 1])(
    'with %i copies: a lagging one still shows some that were removed, the only one does not',
    async (copies) => {
      layout.replicas = copies;
      stream.pass('w', earlier);
      stream.pass('w', 'r.1.9');
      stream.records[0]!.isRemoved = true;
      await opened();
      const open = [...checkpoints.ledger.all()].map(({ attemptId }) => attemptId);
      expect(open).toEqual(copies === 1 ? [earlier, 'r.1.9'] : ['r.1.9']);
      expect(checkpoints.ledger.lowWater()).toBe(copies === 1 ? 1 : 2);
    },
  );

  test('are written again, and their fence, when they are among the oldest of a stream that fills', async () => {
    await opened();
    const fencedAt = fences().at(-1)!.sequence;
    stream.pass('w', ours);
    await until(() => checkpoints.ledger.get(ours) !== undefined);
    for (let i = 0; i < 5; i++) stream.pass('v', `q.${i + 2}.a`);
    await until(() => checkpoints.ledger.readTo === stream.sequence);
    room.renewBelow = fencedAt + 3;
    await checkpoints.trim();
    expect(fences().at(-1)!.sequence).toBeGreaterThan(fencedAt + 3);
    const copy = Checkpoint.decode(stream.records.at(-1)!.data);
    expect(copy).toMatchObject({ worker: 'w', attemptIds: [ours] });
    await until(() => checkpoints.ledger.readTo === stream.sequence);
    // Neither is old any more: nothing is written a second time.
    const written = stream.sequence;
    await checkpoints.trim();
    expect(stream.sequence).toBe(written);
    expect(fresh()).toEqual([`w ${ours} fresh`, ...[2, 3, 4, 5, 6].map((i) => `v q.${i}.a fresh`)]);
    expect(troubles).toEqual([]);
  });

  test('of many attempts in one record are left where they are: a copy would be as large', async () => {
    await opened();
    const many = Array.from({ length: 9 }, (_, i) => `q.${i + 1}.a`);
    for (const id of many) out.add(id);
    const sequence = stream.pass('w', ...many);
    await until(() => checkpoints.ledger.readTo === sequence);
    room.renewBelow = sequence + 1;
    await checkpoints.trim();
    // The fence alone.
    expect(stream.sequence).toBe(sequence + 1);
  });
});
