import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { freeRounds } from '#kit/free-rounds.ts';
import { custodyOf, FRAME, settle } from '#kit/remember-bench.ts';
import type { Answer } from '#libs/nats/link.ts';
import type { Draft, Stored } from '#libs/nats/records.ts';
import { MailState } from '#proto/postrider/v1/mail.ts';
import type { Custody } from './custody.ts';
import { Erasure } from './erasure.actor.ts';
import { Remember } from './remember.actor.ts';

/** What becomes of a write: lost ones were stored or not, and nobody knows; twice means that it was sent again. */
const WRITES = ['stored', 'stored', 'lost', 'lost but stored', 'twice', 'full', 'refused'] as const;
const REMOVALS = ['done', 'lost', 'lost but done', 'refused'] as const;

type WriteFate = (typeof WRITES)[number];
type RemovalFate = (typeof REMOVALS)[number];

const MAILS = 3;
const OK = Buffer.from('{}');
const NO = Buffer.from('{"error":{"code":500,"err_code":10051,"description":"no"}}');

/** One partition's owner over streams that do with its writes and removals what the test wants. */
class World {
  readonly records = new Map<string, Map<number, Draft>>();
  readonly custodies = Array.from({ length: MAILS }, (_, i) => custodyOf(`m${i}`));
  /** Those whose end is stored. */
  readonly forgotten = new Set<Custody>();
  writes: WriteFate[] = [];
  removals: RemovalFate[] = [];
  isFenced = false;
  #isOver = false;
  #sequence = 0;
  #nowMs = 0;

  readonly #erasure = new Erasure({
    link: { request: async (subject, payload) => this.#api(subject, payload) },
    now: () => this.#nowMs,
    onTrouble: () => {},
  });

  readonly #remember = new Remember({
    clock: { toWall: (atMs) => atMs },
    link: { payloadMax: 1024 ** 2 },
    partition: 0,
    epoch: 9,
    layout: { spoolStreams: 1, replicas: 1 },
    now: () => this.#nowMs,
    rounds: freeRounds(() => this.#nowMs),
    writer: {
      store: async (draft) => this.#store(draft),
      storeAtomically: async () => ({ kind: 'full' }),
    },
    direct: {
      bySequence: async (_, sequence) => ({
        kind: 'found',
        record: { sequence, subject: '', data: FRAME, header: () => undefined },
      }),
    },
    erasure: this.#erasure,
    endingOf: () => [],
    onStored: () => {},
    onForgotten: (custody) => this.forgotten.add(custody),
    onMissing: () => {},
    onFenced: () => {
      this.#isOver = true;
    },
    onTrouble: () => {},
  });

  stream(name: string): Map<number, Draft> {
    const known = this.records.get(name) ?? new Map<number, Draft>();
    this.records.set(name, known);
    return known;
  }

  /** As JetStream does, also when that record has gone since. */
  readonly #known = new Map<string, number>();

  #put(stream: string, draft: Draft): number {
    const known = this.#known.get(draft.id);
    if (known !== undefined) return known;
    this.#sequence += 1;
    if (draft.id !== '') this.#known.set(draft.id, this.#sequence);
    this.stream(stream).set(this.#sequence, draft);
    return this.#sequence;
  }

  #store(draft: Draft): Stored {
    const stream = draft.subject.startsWith('queue') ? 'QUEUE' : 'STORE_0';
    const fate = this.writes.shift() ?? 'stored';
    const stored = (sequence: number): Stored => ({ kind: 'stored', sequence, duplicate: false });
    if (this.isFenced && stream === 'QUEUE') return { kind: 'conflict' };
    if (fate === 'stored') return stored(this.#put(stream, draft));
    if (fate === 'full') return { kind: 'full' };
    if (fate === 'refused') return { kind: 'refused', code: 1, words: 'no' };
    if (fate === 'lost') return { kind: 'unavailable' };
    const first = this.#put(stream, draft);
    if (fate === 'lost but stored') return { kind: 'unavailable' };
    // The fence moves between the two tries, now and then.
    if (stream === 'QUEUE' && first % 5 === 0) {
      this.isFenced = true;
      return { kind: 'conflict', again: true };
    }
    return { ...stored(this.#put(stream, draft)), again: true } as Stored;
  }

  #api(subject: string, payload: Uint8Array): Answer {
    const fate = this.removals.shift() ?? 'done';
    if (fate === 'refused') return { kind: 'answer', data: NO };
    if (fate !== 'lost') this.#removeFrom(subject, payload);
    return fate === 'done' ? { kind: 'answer', data: OK } : { kind: 'timeout' };
  }

  #removeFrom(subject: string, payload: Uint8Array): void {
    const { filter, seq } = JSON.parse(Buffer.from(payload).toString()) as { filter?: string; seq: number };
    const stream = this.stream(subject.split('.').at(-1)!);
    for (const [sequence, draft] of [...stream]) {
      const isMeant = filter === undefined ? sequence === seq : draft.subject === filter && sequence < seq;
      if (isMeant) stream.delete(sequence);
    }
  }

  /** Something is to be remembered of the mail, or it is over. */
  touch(mail: number, isOver: boolean): void {
    const custody = this.custodies[mail]!;
    if (this.#isOver || custody.message.phase === 'settled') return;
    if (isOver) {
      settle(custody, 'stored');
      // As its partition does: of one that was never stored the line in the settle log is enough.
      if (custody.isStored) this.#remember.add(custody);
    } else this.#remember.add(custody);
  }

  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    await jest.advanceTimersByTimeAsync(ms);
    if (!this.#isOver) await this.#remember.flush();
    await jest.advanceTimersByTimeAsync(0);
  }

  get isIdle(): boolean {
    return this.#isOver || (this.#remember.idle && this.#erasure.waiting === 0);
  }

  /** The newest state of the mail that a next owner would find; undefined when there is none. */
  newest({ message }: Custody): Draft | undefined {
    const own = [...this.stream('QUEUE')].filter(([, { subject }]) =>
      subject.endsWith(`.${message.queueId}`),
    );
    return own.toSorted(([a], [b]) => b - a)[0]?.[1];
  }
}

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

/** What a next owner would find: no state whose data is gone, none of a mail that was forgotten. */
function check(world: World): void {
  for (const custody of world.custodies) {
    const state = world.newest(custody);
    if (state === undefined || state.payload.length === 0) continue;
    expect(world.forgotten.has(custody)).toBe(false);
    const { ref } = MailState.decode(state.payload as Uint8Array);
    expect([ref!.stream, world.stream(ref!.stream).has(ref!.sequence)]).toEqual(['STORE_0', true]);
  }
}

/** Once all is well: one state and one copy of a mail that is remembered, none of one that is over. */
function checkEnd(world: World): void {
  const remembered = world.custodies.filter(
    ({ message, isStored }) => isStored && message.phase !== 'settled',
  );
  expect(world.stream('STORE_0').size).toBe(remembered.length);
  for (const { message, isStored } of world.custodies) {
    const states = [...world.stream('QUEUE').values()].filter(({ subject }) =>
      subject.endsWith(`.${message.queueId}`),
    );
    if (message.phase === 'settled') expect(states).toEqual([]);
    else if (isStored) expect(states).toHaveLength(1);
  }
}

const step = fc.record({
  mail: fc.nat(MAILS - 1),
  isOver: fc.boolean(),
  ms: fc.constantFrom(0, 100, 500, 1000, 3000),
  writes: fc.array(fc.constantFrom(...WRITES), { maxLength: 4 }),
  removals: fc.array(fc.constantFrom(...REMOVALS), { maxLength: 3 }),
});

describe('any history of what is remembered', () => {
  test('leaves every state its data, and nothing of a mail that is settled once all is well', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const world = new World();
        for (const { mail, isOver, ms, writes, removals } of steps) {
          world.writes.push(...writes);
          world.removals.push(...removals);
          world.touch(mail, isOver);
          await world.pass(ms);
          check(world);
        }
        world.writes = [];
        world.removals = [];
        for (let i = 0; i < 40 && !world.isIdle; i++) {
          await world.pass(30_000);
          check(world);
        }
        expect(world.isIdle).toBe(true);
        if (!world.isFenced) checkEnd(world);
      }),
      { numRuns: 600 },
    );
  }, 60_000);
});
