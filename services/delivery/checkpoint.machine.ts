// Decides which attempts may send their final dot: those whose checkpoint is stored behind the newest fence of their partition,
// and which of them that fence shuts out. Never publishes, never reads a clock. Mutates its state in place.
//
// Each partition has a lane:
//
//   free ──departed──▶ publishing ──stored──▶ free, or the next group
//     │                    │ └──busy, unavailable──▶ pausing ──woken──▶ publishing or reading
//     │                    └──conflict──▶ reading ──fenceRead──▶ publishing
//     └──departed, no fence known──────────▲ └──unavailable──▶ pausing
//
// Invariants:
//  K1  An attempt goes on only when a record that names it was stored behind a fence that does not shut it out.
//  K2  A fence shuts out the attempts of older owners that its own owner has not adopted, and of a worker that was given up all that it
//      had then: somebody else may have been sent them since.
//  K3  Who asks is answered once: it goes on or it is refused.
//  K4  Of each partition at most one record is on its way; who comes meanwhile joins the next one.
//  K5  What nobody wants any more is named in no further record, and never goes on.
//  K6  An attempt of an owner that writes fences waits for one of that owner, or of a later one: where there is none, the stream has
//      lost it, and what it shut out is not known. The owner is told.
import { partsOfAttemptId } from '#libs/mail/attempt-id.ts';
import { seats } from '#libs/nats/checkpoint-seats.ts';
import type { Job } from '#proto/postrider/v1/job.ts';

/** Who asks; more than this is the shell's. */
export interface Passenger {
  readonly attempt: {
    readonly job: Pick<Job, 'attemptId' | 'epoch' | 'partition' | 'recipients' | 'fenced'>;
    /** Changes while it waits: its owner may cancel it, or it ends otherwise. */
    readonly standing: 'wanted' | 'cancelled' | 'over';
  };
}

/** The newest record of `fence.<p>`. Without one sequence and epoch are 0. */
export interface KnownFence {
  /** Of the record in its stream. */
  readonly sequence: number;
  readonly epoch: number;
  /** This worker was given up with the owner's attempts up to this number, and those of older owners; undefined when it was not. */
  readonly through: number | undefined;
}

interface Lane<P extends Passenger> {
  phase: 'free' | 'publishing' | 'reading' | 'pausing';
  fence: KnownFence | undefined;
  /** Sequence of the fence behind which the last record was refused; none when negative. */
  refusedAt: number;
  waiting: P[];
  aboard: P[];
}

export interface CheckpointsState<P extends Passenger> {
  readonly lanes: Map<number, Lane<P>>;
  /** Partitions that somebody asked for since the last departure. */
  readonly due: Set<number>;
}

export type CheckpointInput =
  /** The turn is over. */
  | { kind: 'departed' }
  | { kind: 'stored'; partition: number }
  /** Not stored: the fence has moved. */
  | { kind: 'conflict'; partition: number }
  /** Not stored: the server has another record of the partition in its hands. */
  | { kind: 'busy'; partition: number }
  /** No answer, no room, no stream: it may be stored or not. */
  | { kind: 'unavailable'; partition: number }
  | { kind: 'fenceRead'; partition: number; fence: KnownFence }
  /** The pause is over. */
  | { kind: 'woken'; partition: number }
  /** The server may be another one, or have forgotten what it kept in memory. */
  | { kind: 'reconnected' };

/** fenced: the owner that sent the attempt is replaced, or has given this worker up. */
export type RefusalCause = 'fenced' | 'cancelled' | 'over';

export type CheckpointEffect<P extends Passenger> =
  | { kind: 'publish'; partition: number; fenceSequence: number; passengers: readonly P[] }
  | { kind: 'readFence'; partition: number }
  /** A moment: others publish to the partition too. Else a while. */
  | { kind: 'pause'; partition: number; length: 'moment' | 'while' }
  /** The owner's fence is not there (K6). */
  | { kind: 'missFence'; partition: number }
  | { kind: 'goOn'; passenger: P }
  | { kind: 'refuse'; passenger: P; cause: RefusalCause };

type Effects<P extends Passenger> = CheckpointEffect<P>[];

export function newCheckpoints<P extends Passenger>(): CheckpointsState<P> {
  return { lanes: new Map(), due: new Set() };
}

/** It leaves with the turn. */
export function ask<P extends Passenger>(state: CheckpointsState<P>, passenger: P): void {
  const { partition } = passenger.attempt.job;
  let lane = state.lanes.get(partition);
  if (lane === undefined) {
    lane = { phase: 'free', fence: undefined, refusedAt: -1, waiting: [], aboard: [] };
    state.lanes.set(partition, lane);
  }
  lane.waiting.push(passenger);
  state.due.add(partition);
}

/** Who asked first of those that have no answer; undefined when all have. */
export function longestWaiting<P extends Passenger & { readonly askedAtMs: number }>({
  lanes,
}: CheckpointsState<P>): P | undefined {
  let longest: P | undefined;
  for (const { waiting, aboard } of lanes.values()) {
    // Each lane keeps their order.
    const first = aboard[0] ?? waiting[0];
    if (first !== undefined && first.askedAtMs < (longest?.askedAtMs ?? Number.POSITIVE_INFINITY))
      longest = first;
  }
  return longest;
}

/** Feeds one input; returns what the shell must do, in order. */
export function receive<P extends Passenger>(state: CheckpointsState<P>, input: CheckpointInput): Effects<P> {
  switch (input.kind) {
    case 'departed':
      return depart(state);
    case 'reconnected':
      for (const lane of state.lanes.values()) lane.fence = undefined;
      return [];
    default:
      return hear(state.lanes.get(input.partition)!, input);
  }
}

function depart<P extends Passenger>({ lanes, due }: CheckpointsState<P>): Effects<P> {
  const effects: Effects<P> = [];
  for (const partition of due) {
    const lane = lanes.get(partition)!;
    // K4
    if (lane.phase === 'free') set(lane, partition, effects);
  }
  due.clear();
  return effects;
}

function hear<P extends Passenger>(
  lane: Lane<P>,
  input: Extract<CheckpointInput, { partition: number }>,
): Effects<P> {
  const { partition } = input;
  const effects: Effects<P> = [];
  switch (input.kind) {
    case 'stored':
      lane.refusedAt = -1;
      for (const passenger of lane.aboard) answer(passenger, effects);
      lane.aboard = [];
      break;
    case 'conflict':
      lane.refusedAt = lane.fence?.sequence ?? -1;
      lane.fence = undefined;
      turnBack(lane);
      break;
    case 'busy':
      turnBack(lane);
      return pause(lane, partition, 'moment');
    case 'unavailable':
      turnBack(lane);
      return pause(lane, partition, 'while');
    case 'fenceRead':
      lane.fence = input.fence;
      // Refused behind this very fence: it can only be that others are at it.
      if (input.fence.sequence === lane.refusedAt) return pause(lane, partition, 'moment');
      break;
    case 'woken':
      break;
  }
  set(lane, partition, effects);
  return effects;
}

/** Those who wait leave, as many as one record takes; whom the fence shuts out is refused (K2). */
function set<P extends Passenger>(lane: Lane<P>, partition: number, effects: Effects<P>): void {
  lane.waiting = lane.waiting.filter((passenger) => {
    const cause = causeAgainst(passenger, lane.fence);
    if (cause !== undefined) effects.push({ kind: 'refuse', passenger, cause });
    return cause === undefined;
  });
  if (lane.waiting.length === 0) {
    lane.phase = 'free';
    return;
  }
  if (lane.fence === undefined) {
    lane.phase = 'reading';
    effects.push({ kind: 'readFence', partition });
    return;
  }
  const { fence } = lane;
  const unfenced = lane.waiting.filter((passenger) => isUnfenced(passenger, fence));
  if (unfenced.length === lane.waiting.length) {
    missFence(lane, partition, effects);
    return;
  }
  if (unfenced.length > 0) lane.waiting = lane.waiting.filter((passenger) => !isUnfenced(passenger, fence));
  lane.aboard = lane.waiting.splice(0, seats(lane.waiting, positionsOf));
  if (unfenced.length > 0) lane.waiting = [...unfenced, ...lane.waiting];
  lane.phase = 'publishing';
  effects.push({ kind: 'publish', partition, fenceSequence: lane.fence.sequence, passengers: lane.aboard });
}

/** What is known may be the fence before; what was read just now is all there is (K6). */
function missFence<P extends Passenger>(lane: Lane<P>, partition: number, effects: Effects<P>): void {
  lane.fence = undefined;
  if (lane.phase === 'reading') {
    effects.push({ kind: 'missFence', partition }, ...pause(lane, partition, 'while'));
    return;
  }
  lane.phase = 'reading';
  effects.push({ kind: 'readFence', partition });
}

function isUnfenced({ attempt }: Passenger, fence: KnownFence): boolean {
  return attempt.job.fenced === true && attempt.job.epoch > fence.epoch;
}

const positionsOf = ({ attempt }: Passenger) => attempt.job.recipients.length;

function causeAgainst({ attempt }: Passenger, fence: KnownFence | undefined): RefusalCause | undefined {
  const { job, standing } = attempt;
  if (standing !== 'wanted') return standing;
  if (fence === undefined || job.epoch > fence.epoch) return undefined;
  if (job.epoch < fence.epoch) return 'fenced';
  return fence.through !== undefined && numberOf(job) <= fence.through ? 'fenced' : undefined;
}

/** Of the attempt among those of its owner; 0 for one of an older owner, and for an id of another shape. */
function numberOf({ attemptId, epoch }: Pick<Job, 'attemptId' | 'epoch'>): number {
  const parts = partsOfAttemptId(attemptId);
  return parts.epoch === epoch ? parts.number : 0;
}

function answer<P extends Passenger>(passenger: P, effects: Effects<P>): void {
  const { standing } = passenger.attempt;
  if (standing === 'wanted') effects.push({ kind: 'goOn', passenger });
  else effects.push({ kind: 'refuse', passenger, cause: standing });
}

function turnBack<P extends Passenger>(lane: Lane<P>): void {
  lane.waiting = [...lane.aboard, ...lane.waiting];
  lane.aboard = [];
}

function pause<P extends Passenger>(
  lane: Lane<P>,
  partition: number,
  length: 'moment' | 'while',
): Effects<P> {
  lane.phase = 'pausing';
  return [{ kind: 'pause', partition, length }];
}
