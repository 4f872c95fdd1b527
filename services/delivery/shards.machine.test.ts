import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import { bitmapOf, holdsBit } from '#libs/nats/bitmap.ts';
import { ownerOf } from '#libs/nats/placement.ts';
import {
  holdsOf,
  newShards,
  receive,
  type ShardMember,
  type ShardsEffect,
  type ShardsInput,
  type ShardsState,
  slotKeyOf,
} from './shards.machine.ts';

const SHARDS = 16;
const NONE = new Uint8Array(SHARDS / 8);
const ALL = bitmapOf(
  Array.from({ length: SHARDS }, (_, shard) => shard),
  SHARDS,
);

const member = (instance: string, holds: Uint8Array): ShardMember => ({
  instance,
  holds,
  passive: false,
});
const viewed = (...members: ShardMember[]): ShardsInput => ({ kind: 'viewed', members });

/** Shards that are placed with `self` among `instances`. */
function placed(self: string, instances: string[]): number[] {
  return Array.from({ length: SHARDS }, (_, shard) => shard).filter(
    (shard) => ownerOf(slotKeyOf(shard), instances) === self,
  );
}

const shardsOf = (effects: ShardsEffect[], kind: 'subscribe' | 'leave') =>
  effects.flatMap((effect) => (effect.kind === kind ? [effect.shard] : []));

describe('the shards of a worker', () => {
  test('are all of them when it is alone, and it says so', () => {
    const state = newShards('a', SHARDS);
    const effects = receive(state, viewed(member('a', NONE)));
    expect(shardsOf(effects, 'subscribe')).toHaveLength(SHARDS);
    expect(effects.at(-1)).toEqual({ kind: 'announce' });
    expect(holdsOf(state)).toEqual(ALL);
    expect(receive(state, viewed(member('a', ALL)))).toEqual([]);
  });

  test('are left to a newcomer, who waits until each is cleared', () => {
    const [old, fresh] = [newShards('a', SHARDS), newShards('b', SHARDS)];
    receive(old, viewed(member('a', NONE)));
    const theirs = placed('b', ['a', 'b']);
    expect(theirs.length).toBeGreaterThan(0);
    expect(receive(fresh, viewed(member('a', holdsOf(old)), member('b', NONE)))).toEqual([]);
    expect(shardsOf(receive(old, viewed(member('a', ALL), member('b', NONE))), 'leave')).toEqual(theirs);
    expect(holdsOf(old)).toEqual(ALL);
    expect(receive(old, { kind: 'cleared', shard: theirs[0]! })).toEqual([
      { kind: 'giveAway', shard: theirs[0] },
      { kind: 'announce' },
    ]);
    const took = receive(fresh, viewed(member('a', holdsOf(old)), member('b', NONE)));
    expect(shardsOf(took, 'subscribe')).toEqual([theirs[0]]);
  });

  test('that are being left come back when the newcomer goes', () => {
    const state = newShards('a', SHARDS);
    receive(state, viewed(member('a', NONE)));
    receive(state, viewed(member('a', ALL), member('b', NONE)));
    const theirs = placed('b', ['a', 'b']);
    expect(shardsOf(receive(state, viewed(member('a', ALL))), 'subscribe')).toEqual(theirs);
    expect(receive(state, { kind: 'cleared', shard: theirs[0]! })).toEqual([]);
  });

  test('are all left when the worker stops, and none is taken again', () => {
    const state = newShards('a', SHARDS);
    receive(state, viewed(member('a', NONE), member('b', NONE)));
    const ours = placed('a', ['a', 'b']);
    expect(shardsOf(receive(state, { kind: 'stopped' }), 'leave')).toEqual(ours);
    expect(receive(state, viewed(member('a', NONE)))).toEqual([]);
    for (const shard of ours) receive(state, { kind: 'cleared', shard });
    expect(holdsOf(state)).toEqual(NONE);
  });

  test('of a worker that stops go to the others, each when it has let go of it', () => {
    const state = newShards('a', SHARDS);
    const theirs = placed('b', ['a', 'b']);
    receive(state, viewed(member('a', NONE), member('b', bitmapOf(theirs, SHARDS))));
    const some = bitmapOf(theirs.slice(1), SHARDS);
    const effects = receive(
      state,
      viewed(member('a', holdsOf(state)), { ...member('b', some), passive: true }),
    );
    expect(shardsOf(effects, 'subscribe')).toEqual([theirs[0]]);
  });

  test('are all dropped when the lease has ended, and may be taken again', () => {
    const state = newShards('a', SHARDS);
    receive(state, viewed(member('a', NONE)));
    receive(state, viewed(member('a', ALL), member('b', NONE)));
    const effects = receive(state, { kind: 'leaseEnded' });
    expect(effects).toHaveLength(SHARDS);
    expect(effects[0]).toEqual({ kind: 'drop', shard: 0 });
    expect(holdsOf(state)).toEqual(NONE);
    expect(receive(state, { kind: 'leaseEnded' })).toEqual([]);
    expect(shardsOf(receive(state, viewed(member('a', NONE))), 'subscribe')).toHaveLength(SHARDS);
  });

  test('keep D1 to D4 in every life', () => {
    const size = 2;
    const holds = [[], [0], [1], [0, 1]].map((set) => bitmapOf(set, size));
    const inputs: ShardsInput[] = [
      viewed(member('a', NONE)),
      ...holds.map((theirs) => viewed(member('a', NONE), member('b', theirs))),
      ...holds.map((theirs) => viewed(member('b', theirs))),
      { kind: 'cleared', shard: 0 },
      { kind: 'cleared', shard: 1 },
      { kind: 'leaseEnded' },
      { kind: 'stopped' },
    ];
    const walked = walkLives<ShardsState, ShardsInput, ShardsEffect[]>({
      starts: [newShards('a', size)],
      inputs: () => inputs,
      receive: (state, input) => ({ effects: receive(state, input), state }),
      check: ({ before, input, after }) => {
        for (let shard = 0; shard < size; shard++) {
          // D4
          if (input.kind === 'leaseEnded') expect(after.phases[shard]).toBe('away');
          // D2
          expect(holdsBit(holdsOf(after), shard)).toBe(after.phases[shard] !== 'away');
          if (after.phases[shard] !== 'held' || before.phases[shard] === 'held') continue;
          // D1, D3
          if (input.kind !== 'viewed') throw new Error('held without a view');
          expect(before.placement).toBe('placing');
          const others = input.members.filter(({ instance }) => instance !== 'a');
          if (before.phases[shard] === 'away') {
            expect(others.some((other) => holdsBit(other.holds, shard))).toBe(false);
          }
          expect(
            ownerOf(
              slotKeyOf(shard),
              input.members.map(({ instance }) => instance),
            ),
          ).toBe('a');
        }
      },
      mustReach: ({ phases }) => phases.every((phase) => phase === 'away'),
    });
    expect(walked.states.length).toBeGreaterThan(5);
  });
});
