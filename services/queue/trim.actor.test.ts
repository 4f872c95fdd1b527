import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { freeRounds } from '#kit/free-rounds.ts';
import type { Link } from '#libs/nats/link.ts';
import { SettleBatch } from '#proto/postrider/v1/mail.ts';
import { type Custody, newCustody } from './custody.ts';
import { messageFromPack } from './message.ts';
import { SettleLog } from './settle-log.actor.ts';

const PACK_KEPT_MS = 45_000;
const LINE_KEPT_MS = 150_000;

function custodyIn(sequence: number, entry: number): Custody {
  const place = { offset: 0, length: 1 };
  const index = { queueId: `${sequence}.${entry}`, ...place, acceptedAtMs: 0, domains: [], size: 1 };
  const ref = { stream: 'SPOOL_0', sequence, ...place };
  const message = messageFromPack({ ...index, nullReversePath: false, trace: undefined }, ref, []);
  return newCustody(message, { sequence, entry }, 0);
}

/** A partition with its two streams, on a virtual clock. */
class World {
  nowMs = 1_000_000;
  /** What JetStream says instead of doing it. */
  refusal: object | undefined;
  /** Packs that are in SPOOL: how many entries each has. */
  readonly packs = new Map<number, number>();
  /** When each pack was removed. */
  readonly removedAtMs = new Map<number, number>();
  /** Records of SETTLE. */
  readonly lines = new Map<number, SettleBatch>();
  /** Entries whose line was stored once, by pack. */
  readonly durable = new Map<number, Set<number>>();
  readonly calls: string[] = [];
  readonly untrimmed: string[] = [];
  storeFails = false;
  #lineSequence = 0;
  #looks = 0;
  #newest = 0;
  log = this.#owner();

  #owner(): SettleLog {
    return new SettleLog({
      partition: 0,
      link: { request: (subject: string, data: Uint8Array) => this.#api(subject, data) } as unknown as Link,
      layout: { spoolStreams: 1 },
      packKeptMs: PACK_KEPT_MS,
      // Every look is past any pause.
      rounds: freeRounds(() => (this.#looks += 10_000)),
      onTrouble: () => {},
      onUntrimmed: (reason) => this.untrimmed.push(reason),
      writer: {
        store: async ({ payload }) => {
          if (this.storeFails) return { kind: 'unavailable' };
          this.lines.set(++this.#lineSequence, SettleBatch.decode(payload as Uint8Array));
          return { kind: 'stored', sequence: this.#lineSequence, duplicate: false };
        },
      },
      onDurable: (custodies) => {
        for (const { packSequence, packEntry } of custodies) this.durable.get(packSequence)!.add(packEntry);
      },
    });
  }

  async #api(subject: string, data: Uint8Array) {
    const [call, stream] = subject.split('.').slice(-2) as [string, string];
    const { seq } = JSON.parse(Buffer.from(data).toString()) as { seq: number };
    if (this.refusal !== undefined) {
      return { kind: 'answer', data: Buffer.from(JSON.stringify({ error: this.refusal })) } as const;
    }
    this.calls.push(`${call} ${stream} ${seq}`);
    const isHit = (sequence: number) => (call === 'PURGE' ? sequence < seq : sequence === seq);
    if (stream === 'SETTLE') for (const one of [...this.lines.keys()].filter(isHit)) this.lines.delete(one);
    else for (const one of [...this.packs.keys()].filter(isHit)) this.#remove(one);
    return { kind: 'answer', data: Buffer.from('{}') } as const;
  }

  #remove(sequence: number): void {
    this.packs.delete(sequence);
    this.removedAtMs.set(sequence, this.nowMs);
  }

  add(entries: number): number {
    const sequence = ++this.#newest;
    this.packs.set(sequence, entries);
    this.durable.set(sequence, new Set());
    this.log.ledger.add(sequence, entries, []);
    return sequence;
  }

  settle(sequence: number, entry = 0): void {
    this.log.add(custodyIn(sequence, entry), []);
  }

  /** Seconds go by, with a call to trim in each. */
  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      this.nowMs += 1000;
      await this.log.flush();
      await this.log.trim(this.nowMs);
    }
  }

  /** Another owner takes over; returns the mails that it finds unsettled. */
  takeOver(): string[] {
    this.log = this.#owner();
    for (const [sequence, { packs }] of this.lines) {
      this.log.loaded(sequence, Math.max(...packs.map((pack) => pack.sequence)));
    }
    const found: string[] = [];
    for (const [sequence, entries] of this.packs) {
      const told = this.told(sequence, entries);
      this.log.ledger.add(sequence, entries, [...told]);
      for (let entry = 0; entry < entries; entry++) if (!told.has(entry)) found.push(`${sequence}.${entry}`);
    }
    return found;
  }

  /** What the stored lines say of a pack. */
  told(sequence: number, entries: number): Set<number> {
    const told = new Set<number>();
    for (const { packs } of this.lines.values()) {
      for (const line of packs.filter((one) => one.sequence === sequence)) {
        const all = line.entries.length > 0 ? line.entries : [...Array(entries).keys()];
        for (const entry of all) told.add(entry);
      }
    }
    return told;
  }

  /** T1. */
  check(): void {
    const whole = new Set<number>();
    const parts = new Set<string>();
    for (const { sequence, entries } of [...this.lines.values()].flatMap(({ packs }) => packs)) {
      if (entries.length === 0) whole.add(sequence);
      for (const entry of entries) parts.add(`${sequence}.${entry}`);
    }
    const untold: string[] = [];
    for (const [sequence, durable] of this.durable) {
      const goneAtMs = this.removedAtMs.get(sequence) ?? Number.POSITIVE_INFINITY;
      if (this.nowMs - goneAtMs >= LINE_KEPT_MS) this.durable.delete(sequence);
      else if (!whole.has(sequence)) {
        for (const entry of durable) {
          if (!parts.has(`${sequence}.${entry}`)) untold.push(`${sequence}.${entry}`);
        }
      }
    }
    expect(untold).toEqual([]);
  }
}

describe('a partition with one pack that is stuck', () => {
  test('gets rid of the packs behind it, one by one, and of their lines', async () => {
    const world = new World();
    const stuck = world.add(2);
    world.settle(stuck, 1);
    for (let second = 0; second < 2000; second++) {
      world.settle(world.add(1));
      await world.pass(1);
    }
    world.check();
    // Those of the last 75 s.
    expect(world.packs.size).toBeLessThan(80);
    expect(world.packs.has(stuck)).toBe(true);
    // Their lines are kept 150 s longer; a quarter of all may be old.
    expect(world.lines.size).toBeLessThan(330);
    expect(world.log.ledger.openPacks).toBe(1);
    expect(world.takeOver()).toEqual([`${stuck}.0`]);
  });

  test.each([3, 5, 7, 11, 13])(
    'keeps the old lines of packs that are to go next, or have just gone (%i)',
    async (rhythm) => {
      const world = new World();
      world.add(1);
      const parted = Array.from({ length: 300 }, () => world.add(2));
      for (const sequence of parted) world.settle(sequence, 0);
      for (let second = 0; second < 1500; second++) {
        if ((second >> (rhythm % 7)) % rhythm !== 0) world.settle(world.add(1));
        // From 300 s on one is settled every 5 s, and each goes 75 s later.
        if (second >= 300 && second % 5 === 0) world.settle(parted.shift()!, 1);
        // Sometimes JetStream does nothing for a while.
        world.refusal = second % 400 > 300 ? { code: 503 } : undefined;
        await world.pass(1);
        world.check();
      }
    },
  );

  test('is as one without it once that is settled', async () => {
    const world = new World();
    const stuck = world.add(1);
    for (let i = 0; i < 50; i++) world.settle(world.add(1));
    await world.pass(100);
    expect([...world.packs.keys()]).toEqual([stuck]);
    world.settle(stuck);
    await world.pass(46);
    expect(world.packs.size).toBe(0);
    await world.pass(200);
    expect(world.lines.size).toBe(0);
  });

  test('is emptied by its next owner, too', async () => {
    const world = new World();
    const stuck = world.add(1);
    for (let i = 0; i < 1000; i++) world.settle(world.add(1));
    await world.pass(1);
    expect(world.takeOver()).toEqual([`${stuck}.0`]);
    await world.pass(80);
    expect([...world.packs.keys()]).toEqual([stuck]);
    // So many a second at most.
    expect(world.calls.filter((call) => call.startsWith('DELETE'))).toHaveLength(1000);
  });
});

describe('a partition whose packs are settled in time', () => {
  test('is trimmed by purges only', async () => {
    const world = new World();
    for (let second = 0; second < 300; second++) {
      const [first, next] = [world.add(1), world.add(1)];
      world.settle(next);
      await world.pass(1);
      world.settle(first);
    }
    expect(world.calls.filter((call) => call.startsWith('DELETE'))).toEqual([]);
    world.check();
  });
});

describe('a stream that refuses to be trimmed', () => {
  test('is asked again, less often each time, until it does it', async () => {
    const world = new World();
    world.settle(world.add(1));
    world.refusal = { code: 503, err_code: 10051, description: 'stream store failed' };
    await world.pass(100);
    expect(world.untrimmed[0]).toBe('SPOOL_0 is not trimmed: stream store failed (10051)');
    expect(world.untrimmed.length).toBeGreaterThan(3);
    expect(world.untrimmed.length).toBeLessThan(10);
    world.refusal = undefined;
    await world.pass(31);
    expect(world.packs.size).toBe(0);
  });

  test('keeps what it refused one by one in mind', async () => {
    const world = new World();
    world.add(1);
    for (let i = 0; i < 20; i++) world.settle(world.add(1));
    await world.pass(70);
    world.refusal = { code: 503, err_code: 10051, description: 'stream store failed' };
    await world.pass(10);
    expect(world.packs.size).toBe(21);
    world.refusal = undefined;
    await world.pass(40);
    expect(world.packs.size).toBe(1);
    world.check();
  });
});

/** A partition to which anything happens. */
class History {
  readonly world = new World();
  open: [number, number][] = [];
  readonly #pinned: number[] = [];

  readonly can: Readonly<Record<string, (pick: number) => Promise<void> | void>> = {
    add: (pick) => {
      const entries = 1 + (pick % 3);
      const sequence = this.world.add(entries);
      for (let entry = 0; entry < entries; entry++) this.open.push([sequence, entry]);
    },
    settle: (pick) => {
      const [chosen] = this.open.splice(pick % Math.max(1, this.open.length), 1);
      if (chosen !== undefined) this.world.settle(...chosen);
    },
    pin: (pick) => {
      // What is pinned is not settled yet: a report whose mail has just been stored.
      const chosen = this.open[pick % Math.max(1, this.open.length)];
      if (chosen === undefined) return;
      this.world.log.ledger.pin(chosen[0]);
      this.#pinned.push(chosen[0]);
    },
    unpin: () => {
      const sequence = this.#pinned.pop();
      if (sequence !== undefined) this.world.log.ledger.unpin(sequence);
    },
    fail: () => {
      this.world.storeFails = !this.world.storeFails;
    },
    refuse: () => {
      this.world.refusal = this.world.refusal === undefined ? { code: 503 } : undefined;
    },
    'take over': () => {
      this.#pinned.length = 0;
      this.open = this.world.takeOver().map((one) => one.split('.').map(Number) as [number, number]);
    },
    pass: (pick) => this.world.pass(1 + (pick % 4)),
    linger: () => this.world.pass(40),
    flow: async () => {
      for (let second = 0; second < 90; second++) {
        this.world.settle(this.world.add(1));
        await this.world.pass(1);
      }
    },
  };

  /** All is well again, for long enough. */
  async calm(): Promise<void> {
    this.world.storeFails = false;
    this.world.refusal = undefined;
    while (this.#pinned.length > 0) this.world.log.ledger.unpin(this.#pinned.pop()!);
    await this.world.pass(150);
  }
}

const OFTEN = ['add', 'add', 'add', 'settle', 'settle', 'settle', 'pass', 'pass'];

describe('any history of a partition', () => {
  test('keeps a line of every settled mail as long as its pack is there (T1)', async () => {
    const what = fc.constantFrom(...OFTEN, 'flow', 'linger', 'pin', 'unpin', 'fail', 'refuse', 'take over');
    const step = fc.record({ what, pick: fc.nat({ max: 1000 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 100 }), async (steps) => {
        const history = new History();
        const { world } = history;
        for (const { what: next, pick } of steps) {
          await history.can[next]!(pick);
          world.check();
        }
        await history.calm();
        world.check();
        // All that is settled is gone, whatever stays.
        expect(new Set(world.packs.keys())).toEqual(new Set(history.open.map(([sequence]) => sequence)));
      }),
      { numRuns: 100 },
    );
  });
});
