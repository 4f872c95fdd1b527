// Decides which shards this worker serves. Never subscribes, never reads a clock. Mutates its state in place.
//
//              ours, nobody else holds it            not ours any more, or the worker stops
//   away ──────────────────────────────▶ held ──────────────────────────────▶ leaving
//     ▲                                   ▲                                        │
//     │                                   └─────────────── ours again ─────────────┤
//     └─────────────────────────────────────── cleared ────────────────────────────┘
//   held, leaving ── the lease ended ──▶ away, and all that belongs to the shard ends at once
//
// Invariants:
//  D1  A shard becomes held only while the placement names us and no other live member holds it.
//  D2  The holds bit is set exactly while the shard is held or leaving: the next owner waits for it.
//  D3  After `stopped` no shard becomes held.
//  D4  When the lease has ended no shard is held or leaving: others may take them for theirs from then on.
import { bitmapOf, holdsBit } from '#libs/nats/bitmap.ts';
import { ownerOf } from '#libs/nats/placement.ts';

export type ShardPhase = 'away' | 'held' | 'leaving';

export interface ShardsState {
  readonly self: string;
  readonly phases: ShardPhase[];
  placement: 'placing' | 'stopped';
}

/** What is known of a live worker. */
export interface ShardMember {
  readonly instance: string;
  readonly holds: Uint8Array;
  /** It takes nothing now; what it holds is not free yet. */
  readonly passive: boolean;
}

export type ShardsInput =
  /** The live workers changed, or what they hold; ourselves included. */
  | { kind: 'viewed'; members: readonly ShardMember[] }
  /** Nothing of the shard runs here any more. */
  | { kind: 'cleared'; shard: number }
  /** The others may soon think that we are gone. */
  | { kind: 'leaseEnded' }
  | { kind: 'stopped' };

export type ShardsEffect =
  | { kind: 'subscribe'; shard: number }
  /** Give back what waits and what comes, and say `cleared` when the rest is done. */
  | { kind: 'leave'; shard: number }
  /** Nothing is left of the shard; what still comes is given back for a while. */
  | { kind: 'giveAway'; shard: number }
  /** Unsubscribe; nothing of the shard goes on. */
  | { kind: 'drop'; shard: number }
  /** What we hold changed: all must know at once. */
  | { kind: 'announce' };

export function newShards(self: string, shards: number): ShardsState {
  return { self, phases: new Array<ShardPhase>(shards).fill('away'), placement: 'placing' };
}

/** Feeds one input; returns what the shell must do, in order. */
export function receive(state: ShardsState, input: ShardsInput): ShardsEffect[] {
  switch (input.kind) {
    case 'viewed':
      return state.placement === 'stopped' ? [] : place(state, input.members);
    case 'cleared':
      if (state.phases[input.shard] !== 'leaving') return [];
      state.phases[input.shard] = 'away';
      return [{ kind: 'giveAway', shard: input.shard }, { kind: 'announce' }];
    case 'leaseEnded':
      return dropAll(state);
    case 'stopped':
      state.placement = 'stopped';
      return leaveAll(state);
  }
}

function place(state: ShardsState, members: readonly ShardMember[]): ShardsEffect[] {
  const effects: ShardsEffect[] = [];
  const instances = members.filter((member) => !member.passive).map((member) => member.instance);
  const others = members.filter((member) => member.instance !== state.self);
  let announce = false;
  for (let shard = 0; shard < state.phases.length; shard++) {
    const phase = state.phases[shard]!;
    const ours = ownerOf(slotKeyOf(shard), instances) === state.self;
    if (phase === 'held' && !ours) {
      state.phases[shard] = 'leaving';
      effects.push({ kind: 'leave', shard });
    } else if (phase === 'leaving' && ours) {
      state.phases[shard] = 'held';
      effects.push({ kind: 'subscribe', shard });
    } else if (phase === 'away' && ours && !others.some((member) => holdsBit(member.holds, shard))) {
      state.phases[shard] = 'held';
      effects.push({ kind: 'subscribe', shard });
      announce = true;
    }
  }
  if (announce) effects.push({ kind: 'announce' });
  return effects;
}

function leaveAll(state: ShardsState): ShardsEffect[] {
  const effects: ShardsEffect[] = [];
  state.phases.forEach((phase, shard) => {
    if (phase !== 'held') return;
    state.phases[shard] = 'leaving';
    effects.push({ kind: 'leave', shard });
  });
  return effects;
}

/** D4 */
function dropAll(state: ShardsState): ShardsEffect[] {
  const effects: ShardsEffect[] = [];
  state.phases.forEach((phase, shard) => {
    if (phase === 'away') return;
    state.phases[shard] = 'away';
    effects.push({ kind: 'drop', shard });
  });
  return effects;
}

/** The name under which a shard is placed. */
export function slotKeyOf(shard: number): string {
  return `shard-${shard}`;
}

/** Bit i is set while shard i is held or leaving (D2). */
export function holdsOf(state: ShardsState): Uint8Array {
  const held: number[] = [];
  state.phases.forEach((phase, shard) => {
    if (phase !== 'away') held.push(shard);
  });
  return bitmapOf(held, state.phases.length);
}
