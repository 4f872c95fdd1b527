// Several instances with a clock of the test: they freeze, die, come back and join in any order, and each partition has an owner
// as soon as somebody can have it. One of them may be of an older version, which never says that it takes nothing and waits for
// 15 s before it takes what it lost.
import { describe, expect, test } from '@jest/globals';
import { ownerOf } from '#libs/nats/placement.ts';
import { newPlacement, type PlacementInput, type PlacementState, receive } from './placement.machine.ts';

const STEP_MS = 50;
const PARTITIONS = 6;
const SETTLES_MS = 3000;
const PAUSE_MS = 2500;
/** Silence, the second look at it, a heartbeat. */
const MISSED_AFTER_MS = 6500;
/** A heartbeat, a claim and the loading. */
const GAP_MS = 1500;
const OLD_PAUSE_MS = 15_000;

interface Beat {
  from: string;
  holds: number[];
  passive: boolean;
  isGoodbye: boolean;
  atMs: number;
}

/** Numbers from 0 to 1 that a seed decides. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

class World {
  nowMs = 0;
  readonly random: () => number;
  readonly claims = new Map<number, { epoch: number; by: Instance }>();
  readonly instances: Instance[] = [];
  /** When each partition was last served, or its owner failed. */
  readonly servedAtMs = new Map<number, number>();
  longestMs = 0;
  epochs = 0;

  constructor(seed: number) {
    this.random = chance(seed);
  }

  step(): void {
    this.nowMs += STEP_MS;
    for (const one of this.instances.toSorted(() => this.random() - 0.5)) one.step();
    for (let p = 0; p < PARTITIONS; p++) {
      const claim = this.claims.get(p);
      if (claim?.by.serves(p, claim.epoch)) this.servedAtMs.set(p, this.nowMs);
      // Nobody can know yet that it is gone.
      else if (claim !== undefined && this.nowMs < claim.by.failedAtMs + MISSED_AFTER_MS)
        this.servedAtMs.set(p, this.nowMs);
      this.longestMs = Math.max(this.longestMs, this.nowMs - (this.servedAtMs.get(p) ?? this.nowMs));
    }
  }

  pass(ms: number): void {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; ) this.step();
  }

  send(beat: Omit<Beat, 'atMs'>): void {
    for (const one of this.instances) {
      if (one.name !== beat.from)
        one.inbox.push({ ...beat, atMs: this.nowMs + STEP_MS * Math.ceil(this.random() * 3) });
    }
  }
}

class Instance {
  readonly world: World;
  readonly name: string;
  readonly version: 'old' | 'new';
  readonly inbox: Beat[] = [];
  failedAtMs = Number.NEGATIVE_INFINITY;
  frozenUntilMs = 0;
  isDead = false;
  readonly #seen = new Map<string, { holds: number[]; passive: boolean; heardAtMs: number }>();
  readonly #gone = new Set<string>();
  readonly #machine: PlacementState;
  readonly #held = new Map<number, { epoch: number; openAtMs: number; isOpen: boolean }>();
  readonly #verdicts: (PlacementInput & { kind: 'verified' })[] = [];
  readonly #lostAtMs = new Map<number, number>();
  #tickedAtMs: number;
  #brokenAtMs: number;
  #beatAtMs: number;

  constructor(world: World, name: string, version: 'old' | 'new') {
    this.world = world;
    this.name = name;
    this.version = version;
    this.#machine = newPlacement(name, PARTITIONS);
    this.#tickedAtMs = world.nowMs;
    this.#beatAtMs = world.nowMs;
    this.#brokenAtMs = world.nowMs;
    world.instances.push(this);
    this.#say(false);
  }

  get isUp(): boolean {
    return !this.isDead && this.world.nowMs >= this.frozenUntilMs;
  }

  get #isFresh(): boolean {
    return this.world.nowMs - this.#brokenAtMs > SETTLES_MS;
  }

  serves(partition: number, epoch: number): boolean {
    const held = this.#held.get(partition);
    return this.isUp && held?.isOpen === true && held.epoch === epoch;
  }

  freeze(ms: number): void {
    this.failedAtMs = this.world.nowMs;
    this.frozenUntilMs = this.world.nowMs + ms;
  }

  die(): void {
    this.failedAtMs = this.world.nowMs;
    this.isDead = true;
  }

  stop(): void {
    this.#feed({ kind: 'stopped' });
    this.#say(true);
    this.isDead = true;
  }

  step(): void {
    if (!this.isUp) return;
    const { nowMs } = this.world;
    if (nowMs - this.#tickedAtMs >= PAUSE_MS) this.#doubt();
    this.#tickedAtMs = nowMs;
    this.#hear();
    for (const verdict of this.#verdicts.splice(0)) this.#judge(verdict);
    for (const [partition, held] of this.#held) {
      if (held.isOpen || nowMs < held.openAtMs) continue;
      held.isOpen = true;
      this.#feed({ kind: 'opened', partition, nowMs });
    }
    this.#feed({ kind: 'ticked', nowMs });
    if (nowMs - this.#beatAtMs < 1000) return;
    this.#beatAtMs = nowMs;
    for (const [name, { heardAtMs }] of this.#seen) if (nowMs - heardAtMs > 5250) this.#seen.delete(name);
    this.#say(false);
    this.#view();
  }

  #doubt(): void {
    this.#brokenAtMs = this.world.nowMs;
    for (const seen of this.#seen.values()) seen.heardAtMs = this.world.nowMs;
    if (this.version === 'new') this.#feed({ kind: 'doubted', nowMs: this.world.nowMs });
    else for (const partition of this.#held.keys()) this.#ask(partition, 0);
    this.#say(false);
  }

  #hear(): void {
    const { nowMs } = this.world;
    const due = this.inbox.filter(({ atMs }) => atMs <= nowMs);
    if (due.length === 0) return;
    this.inbox.splice(0, this.inbox.length, ...this.inbox.filter(({ atMs }) => atMs > nowMs));
    for (const { from, holds, passive, isGoodbye } of due) {
      if (this.#gone.has(from)) continue;
      if (isGoodbye) this.#gone.add(from);
      if (isGoodbye) this.#seen.delete(from);
      else this.#seen.set(from, { holds, passive, heardAtMs: nowMs });
    }
    this.#view();
  }

  #view(): void {
    if (!this.#isFresh) return;
    const { nowMs } = this.world;
    const others = [...this.#seen].map(([instance, { holds, passive, heardAtMs }]) => {
      return { instance, passive, silentMs: nowMs - heardAtMs, holds: (p: number) => holds.includes(p) };
    });
    if (this.version === 'new') this.#feed({ kind: 'viewed', others, nowMs });
    else for (let p = 0; p < PARTITIONS; p++) this.#placeAsOld(p, others);
  }

  #placeAsOld(p: number, others: { instance: string; holds: (p: number) => boolean }[]): void {
    const isOurs =
      ownerOf(`partition ${p}`, [this.name, ...others.map(({ instance }) => instance)]) === this.name;
    const isElsewhere = others.some(({ holds }) => holds(p));
    const mayOpen = (this.#lostAtMs.get(p) ?? Number.NEGATIVE_INFINITY) + OLD_PAUSE_MS <= this.world.nowMs;
    const held = this.#held.get(p);
    if (held === undefined) {
      if (isOurs && !isElsewhere && mayOpen) this.#open(p);
    } else if (!isOurs && held.isOpen) {
      this.#held.delete(p);
      this.#say(false);
    } else if (isElsewhere) this.#ask(p, 0);
  }

  #feed(input: PlacementInput): void {
    if (this.version === 'old') return;
    for (const effect of receive(this.#machine, input)) {
      if (effect.kind === 'announce') this.#say(false);
      else if (effect.kind === 'open') this.#open(effect.partition);
      else if (effect.kind === 'verify') this.#ask(effect.partition, effect.round);
      else if (effect.kind === 'close') {
        this.#held.delete(effect.partition);
        this.#feed({ kind: 'closed', partition: effect.partition, nowMs: this.world.nowMs });
      }
    }
  }

  #open(partition: number): void {
    const epoch = ++this.world.epochs;
    this.world.claims.set(partition, { epoch, by: this });
    this.#held.set(partition, { epoch, openAtMs: this.world.nowMs + 200, isOpen: false });
  }

  #ask(partition: number, round: number): void {
    this.#verdicts.push({ kind: 'verified', partition, round, owner: 'yes', nowMs: 0 });
  }

  #judge(verdict: PlacementInput & { kind: 'verified' }): void {
    const { partition } = verdict;
    const { nowMs } = this.world;
    const held = this.#held.get(partition);
    const isOurs = held !== undefined && this.world.claims.get(partition)?.epoch === held.epoch;
    if (isOurs) this.#feed({ ...verdict, nowMs });
    else if (held !== undefined) {
      this.#held.delete(partition);
      this.#lostAtMs.set(partition, nowMs);
      this.#feed({ kind: 'lost', partition, nowMs });
    }
  }

  #say(isGoodbye: boolean): void {
    const isPassive = this.#machine.stance === 'stopped' || !this.#isFresh;
    const passive = this.version === 'new' && isPassive;
    this.world.send({ from: this.name, holds: [...this.#held.keys()], passive, isGoodbye });
  }
}

function worldOf(seed: number, versions: readonly ('old' | 'new')[]): World {
  const world = new World(seed);
  for (const [n, version] of versions.entries()) new Instance(world, `queue-${seed}-${n}`, version);
  world.pass(8000);
  world.servedAtMs.clear();
  world.longestMs = 0;
  return world;
}

/** Something happens to one of them, and then nothing for some seconds. */
function disturb(world: World, joiner: string): void {
  const up = world.instances.filter((one) => one.isUp);
  const one = up[Math.floor(world.random() * up.length)]!;
  const what = world.random();
  if (up.length < 2 || what < 0.2) new Instance(world, joiner, 'new');
  else if (what < 0.6) one.freeze(1000 + world.random() * 19_000);
  else if (what < 0.8) one.die();
  else one.stop();
  world.pass(1000 + world.random() * 12_000);
}

const SEEDS = Array.from({ length: 20 }, (_, seed) => seed + 1);

describe('Each partition has an owner as soon as somebody can have it', () => {
  test('when one of two is stopped and goes on', () => {
    for (const seed of SEEDS) {
      const world = worldOf(seed, ['new', 'new']);
      world.instances[0]!.freeze(10_000);
      world.pass(40_000);
      expect(world.longestMs).toBeLessThanOrEqual(GAP_MS);
    }
  });

  // The last one may end while all others have just come back: they need three seconds to hear who lives.
  test('whatever is stopped, dies, ends or joins, in any order', () => {
    for (const seed of SEEDS) {
      const world = worldOf(seed, ['new', 'new', 'new']);
      for (let turn = 0; turn < 12; turn++) disturb(world, `queue-${seed}-joined-${turn}`);
      const boundMs = GAP_MS + SETTLES_MS;
      expect([seed, world.longestMs <= boundMs ? 'soon' : world.longestMs]).toEqual([seed, 'soon']);
    }
  });

  test('beside an instance of an older version it takes some seconds more', () => {
    for (const seed of SEEDS) {
      const world = worldOf(seed, ['old', 'new']);
      world.instances[0]!.freeze(10_000);
      world.pass(60_000);
      world.instances[1]!.freeze(10_000);
      world.pass(150_000);
      const boundMs = GAP_MS + SETTLES_MS + 1000;
      expect([seed, world.longestMs <= boundMs ? 'soon' : world.longestMs]).toEqual([seed, 'soon']);
    }
  });

  test('and of the older version alone it had none for as long as it waited', () => {
    const gaps = SEEDS.map((seed) => {
      const world = worldOf(seed, ['old', 'old']);
      world.instances[0]!.freeze(10_000);
      world.pass(60_000);
      return world.longestMs;
    });
    expect(Math.max(...gaps)).toBeGreaterThan(OLD_PAUSE_MS - 1000);
  });
});
