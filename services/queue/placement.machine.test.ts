import { describe, expect, test } from '@jest/globals';
import { ownerOf } from '#libs/nats/placement.ts';
import {
  ANSWER_WITHIN_MS,
  firstFor,
  freePartitions,
  LEFT_MS,
  newPlacement,
  OPEN_WITHIN_MS,
  PASSED_OVER_MS,
  type PlacementState,
  type QueueMember,
  READY_WITHIN_MS,
  receive,
  TAKE_WITHIN_MS,
  VERIFY_AGAIN_MS,
  VERIFY_MS,
} from './placement.machine.ts';

const US = 'queue-us';
const nobody: number[] = [];
const member = (instance: string, held = nobody, more: Partial<QueueMember> = {}): QueueMember => ({
  instance,
  holds: (partition) => held.includes(partition),
  passive: false,
  silentMs: 0,
  ...more,
});

/** A name that rendezvous puts before ours for partition 0, or behind it. */
function rival(place: 'first' | 'second'): string {
  for (let n = 0; ; n++) {
    const name = `queue-${n}`;
    if ((ownerOf('partition 0', [name, US]) === name) === (place === 'first')) return name;
  }
}
const FIRST = rival('first');
const SECOND = rival('second');

const view = (state: PlacementState, nowMs: number, ...others: QueueMember[]) =>
  receive(state, { kind: 'viewed', others, nowMs });
const say = (state: PlacementState, kind: 'opened' | 'closed' | 'lost', nowMs: number) =>
  receive(state, { kind, partition: 0, nowMs });

/** One partition, held here at the time 0. */
function holding(): PlacementState {
  const state = newPlacement(US, 1);
  view(state, 0);
  say(state, 'opened', 0);
  return state;
}

const OPEN = [{ kind: 'open', partition: 0 }, { kind: 'announce' }];
const CLOSE = [{ kind: 'close', partition: 0, reason: 'handed over' }];
const verify = (round: number) => ({ kind: 'verify', partition: 0, round });
const FREEZE = { kind: 'freeze', partition: 0 };
const THAW = { kind: 'thaw', partition: 0 };

describe('A partition that nobody holds', () => {
  test('is taken by who is first for it, and by nobody else', () => {
    expect(view(newPlacement(US, 1), 0)).toEqual(OPEN);
    expect(view(newPlacement(US, 1), 0, member(SECOND))).toEqual(OPEN);
    const state = newPlacement(US, 1);
    expect(view(state, 0, member(FIRST))).toEqual([]);
    expect(freePartitions(state)).toEqual([0]);
  });

  test('is not waited for when who is first takes nothing', () => {
    expect(view(newPlacement(US, 1), 0, member(FIRST, [], { passive: true }))).toEqual(OPEN);
  });

  test('goes to the next one when who is first does not take it in time, for a while', () => {
    const state = newPlacement(US, 1);
    view(state, 0, member(FIRST));
    expect(view(state, TAKE_WITHIN_MS - 1, member(FIRST))).toEqual([]);
    expect(view(state, TAKE_WITHIN_MS, member(FIRST))).toEqual(OPEN);
    say(state, 'opened', TAKE_WITHIN_MS);
    const endMs = TAKE_WITHIN_MS + PASSED_OVER_MS;
    expect(view(state, endMs - 1, member(FIRST))).toEqual([]);
    expect(view(state, endMs, member(FIRST))).toEqual(CLOSE);
  });

  test('goes to all of them in turn, again and again, when nobody can take it', () => {
    const state = newPlacement(US, 1);
    const others = [member(FIRST), member(`${FIRST}x`)];
    const turns: (string | undefined)[] = [];
    for (let nowMs = 0; nowMs < 10 * TAKE_WITHIN_MS; nowMs += 500) {
      view(state, nowMs, ...others);
      const opens = state.places[0]!.phase === 'opening';
      const turn = opens ? US : firstFor(state, 0, others);
      if (turns.at(-1) !== turn) turns.push(turn);
      if (opens) say(state, 'closed', nowMs);
    }
    for (const instance of [US, FIRST, `${FIRST}x`]) {
      expect(turns.filter((one) => one === instance).length).toBeGreaterThan(1);
    }
  });

  test('has nobody who is first when all are passive and this instance stops', () => {
    const state = newPlacement(US, 1);
    receive(state, { kind: 'stopped' });
    expect(firstFor(state, 0, [member(FIRST, [], { passive: true })])).toBeUndefined();
  });

  test('waits for nothing while all are passive', () => {
    const state = newPlacement(US, 1);
    state.places[0]!.freeSinceMs = 0;
    expect(view(state, TAKE_WITHIN_MS, member(FIRST, [], { passive: true }))).toEqual(OPEN);
  });

  test('is left to others for a while by who could not open it, and tried at once again by who is alone', () => {
    const state = newPlacement(US, 1);
    expect(view(state, 0, member(SECOND))).toEqual(OPEN);
    expect(say(state, 'closed', 100)).toEqual([{ kind: 'announce' }]);
    expect(freePartitions(state)).toEqual([0]);
    expect(view(state, 200, member(SECOND))).toEqual([]);
    expect(view(state, 300)).toEqual(OPEN);
    say(state, 'closed', 400);
    // Nor does the other one take it.
    expect(view(state, 399 + TAKE_WITHIN_MS, member(SECOND))).toEqual([]);
    expect(view(state, 400 + TAKE_WITHIN_MS, member(SECOND))).toEqual(OPEN);
  });
});

describe('A partition that is held elsewhere', () => {
  test('is left alone, whoever is first for it and whether that one takes more or not', () => {
    const state = newPlacement(US, 1);
    expect(view(state, 0, member(SECOND, [0]))).toEqual([]);
    expect(view(state, 1, member(SECOND, [0], { passive: true }))).toEqual([]);
    expect(freePartitions(state)).toEqual([]);
  });

  test('and was ours is taken back as soon as it is free: it is known where it was', () => {
    const state = holding();
    expect(say(state, 'lost', 100)).toEqual([{ kind: 'announce' }]);
    expect(view(state, 200, member(SECOND))).toEqual([]);
    expect(view(state, 300, member(SECOND, [0]))).toEqual([]);
    expect(view(state, 400, member(SECOND))).toEqual(OPEN);
  });

  test('by somebody who is not heard, and was ours, is waited for', () => {
    const state = holding();
    say(state, 'lost', 100);
    expect(view(state, 99 + LEFT_MS)).toEqual([]);
    expect(view(state, 100 + LEFT_MS)).toEqual(OPEN);
  });

  test('and here too is verified, once at a time', () => {
    const state = holding();
    expect(view(state, 100, member(FIRST, [0]))).toEqual([verify(0)]);
    expect(view(state, 200, member(FIRST, [0]))).toEqual([]);
  });
});

describe('A partition that is held here', () => {
  test('is handed over to who is first for it, is heard, and takes partitions', () => {
    expect(view(holding(), 100, member(FIRST, [], { passive: true }))).toEqual([]);
    expect(view(holding(), 100, member(FIRST, [], { silentMs: READY_WITHIN_MS + 1 }))).toEqual([]);
    expect(view(holding(), 100, member(SECOND))).toEqual([]);
    const state = holding();
    expect(view(state, 100, member(FIRST))).toEqual(CLOSE);
    expect(view(state, 200, member(FIRST))).toEqual([]);
    expect(say(state, 'closed', 300)).toEqual([{ kind: 'announce' }]);
    expect(view(state, 400, member(FIRST))).toEqual([]);
  });

  test('is verified every ten seconds', () => {
    const state = holding();
    const tick = (nowMs: number) => receive(state, { kind: 'ticked', nowMs });
    expect(tick(VERIFY_MS - 1)).toEqual([]);
    expect(tick(VERIFY_MS)).toEqual([verify(0)]);
    expect(tick(VERIFY_MS + 1)).toEqual([]);
    expect(verdict(state, 'yes', 0, VERIFY_MS + 2)).toEqual([]);
    expect(tick(2 * VERIFY_MS)).toEqual([]);
    expect(tick(2 * VERIFY_MS + 2)).toEqual([verify(0)]);
  });

  test('is frozen when nobody answers in time, or nobody knows, until it is known', () => {
    const state = holding();
    const tick = (nowMs: number) => receive(state, { kind: 'ticked', nowMs });
    tick(VERIFY_MS);
    const lateMs = VERIFY_MS + ANSWER_WITHIN_MS;
    expect(tick(lateMs)).toEqual([FREEZE]);
    expect(tick(lateMs + 1)).toEqual([]);
    expect(verdict(state, 'unknown', 0, lateMs + 2)).toEqual([]);
    expect(tick(lateMs + 1 + VERIFY_AGAIN_MS)).toEqual([]);
    expect(tick(lateMs + 2 + VERIFY_AGAIN_MS)).toEqual([verify(0)]);
    expect(verdict(state, 'yes', 0, lateMs + 1000)).toEqual([THAW]);
    tick(lateMs + 1000 + VERIFY_MS);
    expect(verdict(state, 'unknown', 0, lateMs + 2000 + VERIFY_MS)).toEqual([FREEZE]);
  });
});

function verdict(state: PlacementState, owner: 'yes' | 'no' | 'unknown', round: number, nowMs: number) {
  return receive(state, { kind: 'verified', partition: 0, round, owner, nowMs });
}

describe('After a pause', () => {
  test('each partition is frozen until its own verdict says that it is ours', () => {
    const state = newPlacement(US, 2);
    view(state, 0);
    for (const partition of [0, 1]) receive(state, { kind: 'opened', partition, nowMs: 0 });
    const effects = receive(state, { kind: 'doubted', nowMs: 100 });
    expect(effects).toEqual([
      FREEZE,
      verify(1),
      { kind: 'freeze', partition: 1 },
      { kind: 'verify', partition: 1, round: 1 },
    ]);
    expect(verdict(state, 'yes', 1, 200)).toEqual([THAW]);
    expect(verdict(state, 'yes', 1, 201)).toEqual([]);
  });

  test('a verdict on what was asked before it says nothing', () => {
    const state = holding();
    receive(state, { kind: 'ticked', nowMs: VERIFY_MS });
    receive(state, { kind: 'doubted', nowMs: VERIFY_MS + 1 });
    expect(verdict(state, 'yes', 0, VERIFY_MS + 2)).toEqual([]);
    expect(receive(state, { kind: 'doubted', nowMs: VERIFY_MS + 3 })).toEqual([verify(2)]);
    expect(verdict(state, 'yes', 2, VERIFY_MS + 4)).toEqual([THAW]);
  });

  test('what is not ours is lost, and its verdict says nothing any more', () => {
    const state = holding();
    receive(state, { kind: 'doubted', nowMs: 100 });
    say(state, 'lost', 200);
    expect(verdict(state, 'no', 1, 200)).toEqual([]);
    expect(receive(state, { kind: 'doubted', nowMs: 300 })).toEqual([]);
  });

  test('what was being opened is verified when it is open', () => {
    const state = newPlacement(US, 1);
    view(state, 0);
    expect(receive(state, { kind: 'doubted', nowMs: 100 })).toEqual([FREEZE]);
    expect(say(state, 'opened', 200)).toEqual([verify(1)]);
    expect(verdict(state, 'yes', 1, 300)).toEqual([THAW]);
  });
});

describe('An opening', () => {
  test('that takes too long is given up, and the next one has twice the time', () => {
    const state = newPlacement(US, 1);
    let nowMs = 0;
    for (const times of [1, 2, 4, 8, 16, 32, 32]) {
      expect(view(state, nowMs)).toEqual(OPEN);
      const tick = (atMs: number) => receive(state, { kind: 'ticked', nowMs: atMs });
      expect(tick(nowMs + times * OPEN_WITHIN_MS - 1)).toEqual([]);
      nowMs += times * OPEN_WITHIN_MS;
      expect(tick(nowMs)).toEqual([{ kind: 'close', partition: 0, reason: 'too late' }]);
      expect(tick(nowMs)).toEqual([]);
      expect(say(state, 'opened', nowMs)).toEqual([]);
      say(state, 'closed', nowMs);
    }
  });
});

describe('An instance that stops', () => {
  test('says so first, gives up what it has, and takes nothing any more', () => {
    const state = newPlacement(US, 3);
    view(state, 0, member('queue-x', [2], { passive: true }));
    receive(state, { kind: 'opened', partition: 0, nowMs: 0 });
    expect(receive(state, { kind: 'stopped' })).toEqual([
      { kind: 'announce' },
      { kind: 'close', partition: 0, reason: 'stopped' },
      { kind: 'close', partition: 1, reason: 'stopped' },
    ]);
    say(state, 'closed', 1);
    expect(view(state, 2)).toEqual([]);
    expect(receive(state, { kind: 'stopped' })).toEqual([{ kind: 'announce' }]);
  });
});
