// Knows every attempt of this worker from its arrival until long after its outcome was acknowledged, so that no job runs
// twice and no outcome is lost. Never sends anything, never reads a clock. Mutates its state in place.
//
//   unknown ──job──▶ running ──finished──▶ unacknowledged ──acknowledged──▶ remembered ──10 min, or too many──▶ unknown
//                                             │      ▲
//                                             └─due──┘ (sent again)
//
// Invariants:
//  L1  A job starts only when its attempt id is unknown and its epoch is not older than the newest of its partition.
//  L2  An outcome is told again and again until an acknowledgement of the newest epoch names it.
//  L3  A repeated job is answered with what is known of it: running, or its outcome.
//  L4  Epochs of a partition never fall while anybody speaks for the newest; one that nobody has spoken for in a minute is forgotten. Owners
//      may count from 1 again (their stream is another one), and of an older owner the fence lets nothing pass.
//  L5  An owner that acknowledges nothing is told a few outcomes again and not all: it cannot store, perhaps, and has heard them.
//      With the first word of it all that are due are told again.
//  L6  Outcomes that nobody acts on have a bound: no job of a partition is taken while its outcomes have as many octets as there is
//      room left for those of all. One owner that acts on nothing takes half of the room, and leaves room to the others.
import type { Job, Outcome } from '#proto/postrider/v1/job.ts';
import { outcomeOctets } from './outcome-octets.ts';

/** An accepted job that has no outcome yet. `R` is what the shell keeps with it. */
export interface Running<R> {
  readonly job: Job;
  readonly siteKey: string;
  readonly run: R;
  /** Its checkpoint may be stored. */
  checkpointed: boolean;
  /** It is stored: the final dot may be out. */
  passed: boolean;
}

export interface Untold {
  readonly outcome: Outcome;
  readonly partition: number;
  toldAtMs: number;
  /** When the attempt ended. */
  readonly sinceMs: number;
  readonly octets: number;
}

export interface LedgerState<R> {
  running: Map<string, Running<R>>;
  /** Those told longest ago stand first. */
  unacknowledged: Map<string, Untold>;
  /** Their octets: by partition, and of all. */
  untoldOctets: Map<number, number>;
  untoldOctetsAll: number;
  /** Outcomes that were acted on: this generation and the one before. */
  remembered: Map<string, Outcome>;
  fading: Map<string, Outcome>;
  /** Of this generation. */
  rememberedOctets: number;
  rotatedAtMs: number;
  /** When outcomes of a partition were last told again; only of those whose owner has said nothing since (L5). */
  retoldAtMs: Map<number, number>;
  /** Newest epoch by partition. */
  epochs: Map<number, number>;
  /** Partitions for whose newest epoch somebody has spoken since then (L4). */
  spoken: Set<number>;
  spokenSinceMs: number;
}

/** What to do with a job that arrived. */
export type JobVerdict =
  | { kind: 'start' }
  | { kind: 'running' }
  | { kind: 'outcome'; outcome: Outcome }
  | { kind: 'stale' }
  /** Not taken, and not accepted: who sent it sends it again after a while (L6). */
  | { kind: 'full' };

const EPOCH_KEPT_MS = 60_000;
/** Acknowledged outcomes are kept for one to two of these. */
const GENERATION_MS = 600_000;
const GENERATION_MAX = 50_000;
const GENERATION_OCTETS_MAX = 32 * 1024 ** 2;
/**
 * Some 200,000 outcomes: half a minute of all that one worker does. Half of it, which a next owner may have to be told at once, is less
 * than a nats-server keeps for one client (max_pending, 64 MB).
 */
const UNTOLD_OCTETS_MAX = 64 * 1024 ** 2;
/** So many outcomes are told again to an owner that says nothing, this often: if they were lost, its first word comes soon. */
const PROBE_MAX = 50;
const PROBE_EVERY_MS = 2000;

const START: JobVerdict = { kind: 'start' };
const RUNNING: JobVerdict = { kind: 'running' };
const STALE: JobVerdict = { kind: 'stale' };
const FULL: JobVerdict = { kind: 'full' };

export function newLedger<R>(nowMs: number): LedgerState<R> {
  return {
    running: new Map(),
    unacknowledged: new Map(),
    untoldOctets: new Map(),
    untoldOctetsAll: 0,
    remembered: new Map(),
    fading: new Map(),
    rememberedOctets: 0,
    rotatedAtMs: nowMs,
    retoldAtMs: new Map(),
    epochs: new Map(),
    spoken: new Set(),
    spokenSinceMs: nowMs,
  };
}

/** A job arrived; on `start` it is running from now on (L1, L3). */
export function onJob<R>(state: LedgerState<R>, job: Job, siteKey: string, run: R): JobVerdict {
  if (!raiseEpoch(state, job.partition, job.epoch)) return STALE;
  const id = job.attemptId;
  if (state.running.has(id)) return RUNNING;
  const outcome = state.unacknowledged.get(id)?.outcome ?? state.remembered.get(id) ?? state.fading.get(id);
  if (outcome !== undefined) return { kind: 'outcome', outcome };
  if (!hasRoom(state, job.partition)) return FULL;
  state.running.set(id, { job, siteKey, run, checkpointed: false, passed: false });
  return START;
}

/** L6 */
function hasRoom<R>({ untoldOctets, untoldOctetsAll }: LedgerState<R>, partition: number): boolean {
  return (untoldOctets.get(partition) ?? 0) < UNTOLD_OCTETS_MAX - untoldOctetsAll;
}

/** Its checkpoint is about to be stored. */
export function onCheckpoint<R>(state: LedgerState<R>, attemptId: string): void {
  const running = state.running.get(attemptId);
  if (running !== undefined) running.checkpointed = true;
}

/** Its final dot is about to be written. */
export function onPassed<R>(state: LedgerState<R>, attemptId: string): void {
  const running = state.running.get(attemptId);
  if (running !== undefined) running.passed = true;
}

/** The attempt is over, and its outcome is told now. Returns false when it was over before. */
export function onFinished<R>(state: LedgerState<R>, outcome: Outcome, nowMs: number): boolean {
  const running = state.running.get(outcome.attemptId);
  if (running === undefined) return false;
  state.running.delete(outcome.attemptId);
  const { partition } = running.job;
  const octets = outcomeOctets(outcome);
  state.unacknowledged.set(outcome.attemptId, {
    outcome,
    partition,
    toldAtMs: nowMs,
    sinceMs: nowMs,
    octets,
  });
  weigh(state, partition, octets);
  return true;
}

function weigh<R>(state: LedgerState<R>, partition: number, octets: number): void {
  state.untoldOctetsAll += octets;
  state.untoldOctets.set(partition, (state.untoldOctets.get(partition) ?? 0) + octets);
}

/** For how long the oldest outcome has waited for its owner, ms; 0 when there is none. */
export function oldestWaitMs<R>(state: LedgerState<R>, nowMs: number): number {
  let oldestMs = 0;
  for (const { sinceMs } of state.unacknowledged.values()) oldestMs = Math.max(oldestMs, nowMs - sinceMs);
  return oldestMs;
}

/** An owner acted on outcomes. An owner of an older epoch is not the owner any more (L2). */
export function onAcknowledged<R>(
  state: LedgerState<R>,
  ack: { partition: number; epoch: number; attemptIds: readonly string[] },
): void {
  if (!raiseEpoch(state, ack.partition, ack.epoch)) return;
  if (ack.attemptIds.length > 0) state.retoldAtMs.delete(ack.partition);
  for (const id of ack.attemptIds) {
    const untold = state.unacknowledged.get(id);
    if (untold === undefined) continue;
    state.unacknowledged.delete(id);
    weigh(state, untold.partition, -untold.octets);
    state.remembered.set(id, untold.outcome);
    state.rememberedOctets += untold.octets;
  }
}

/** Attempts that an owner does not want any more and that have no outcome yet. Of an older epoch it has no say (L2). */
export function onCancelled<R>(
  state: LedgerState<R>,
  ack: { partition: number; epoch: number; cancelled: readonly string[] },
): Running<R>[] {
  if (ack.cancelled.length === 0 || !raiseEpoch(state, ack.partition, ack.epoch)) return [];
  return ack.cancelled.flatMap((id) => state.running.get(id) ?? []);
}

/** A new owner wants these to go on: from now on they are attempts of its epoch. Of an older epoch it has no say (L2). */
export function onAdopted<R>(
  state: LedgerState<R>,
  ack: { partition: number; epoch: number; adopted: readonly string[] },
): void {
  if (ack.adopted.length === 0 || !raiseEpoch(state, ack.partition, ack.epoch)) return;
  for (const id of ack.adopted) {
    const running = state.running.get(id);
    if (running === undefined) continue;
    running.job.epoch = ack.epoch;
    running.job.fenced = true;
  }
}

/** A new owner asks: what of the partition is running, and what has it not acted on. Fences older owners (L4). */
export function onInflightRequest<R>(
  state: LedgerState<R>,
  request: { partition: number; epoch: number },
): { running: Running<R>[]; unacknowledged: Outcome[] } {
  raiseEpoch(state, request.partition, request.epoch);
  const running: Running<R>[] = [];
  for (const one of state.running.values()) if (one.job.partition === request.partition) running.push(one);
  const unacknowledged: Outcome[] = [];
  for (const one of state.unacknowledged.values()) {
    if (one.partition === request.partition) unacknowledged.push(one.outcome);
  }
  return { running, unacknowledged };
}

/** Whoever owns partitions may have lost what was told: nobody counts as silent any more (L5). */
export function onReconnected<R>(state: LedgerState<R>): void {
  state.retoldAtMs.clear();
}

/**
 * At most `max` outcomes that were last told before `toldBeforeMs`, of a silent owner only a few (L5); they count as told now.
 * Forgets what is old.
 */
export function onSwept<R>(
  state: LedgerState<R>,
  sweep: { nowMs: number; toldBeforeMs: number; max: number },
): Untold[] {
  rotate(state, sweep.nowMs);
  if (sweep.nowMs - state.spokenSinceMs >= EPOCH_KEPT_MS) forgetEpochs(state, sweep.nowMs);
  const due: Untold[] = [];
  const room = new Map<number, number>();
  for (const one of state.unacknowledged.values()) {
    if (one.toldAtMs > sweep.toldBeforeMs || due.length >= sweep.max) break;
    const left = room.get(one.partition) ?? roomFor(state.retoldAtMs.get(one.partition), sweep.nowMs);
    room.set(one.partition, left - 1);
    if (left > 0) due.push(one);
  }
  for (const one of due) {
    one.toldAtMs = sweep.nowMs;
    state.retoldAtMs.set(one.partition, sweep.nowMs);
    state.unacknowledged.delete(one.outcome.attemptId);
    state.unacknowledged.set(one.outcome.attemptId, one);
  }
  return due;
}

function rotate<R>(state: LedgerState<R>, nowMs: number): void {
  const isLarge = state.remembered.size > GENERATION_MAX || state.rememberedOctets > GENERATION_OCTETS_MAX;
  if (!isLarge && nowMs - state.rotatedAtMs < GENERATION_MS) return;
  state.fading = state.remembered;
  state.remembered = new Map();
  state.rememberedOctets = 0;
  state.rotatedAtMs = nowMs;
}

/** How many outcomes its owner may be told again now. */
function roomFor(retoldAtMs: number | undefined, nowMs: number): number {
  if (retoldAtMs === undefined) return Number.POSITIVE_INFINITY;
  return nowMs - retoldAtMs >= PROBE_EVERY_MS ? PROBE_MAX : 0;
}

/** Those that nobody has spoken for (L4). */
function forgetEpochs<R>(state: LedgerState<R>, nowMs: number): void {
  for (const partition of state.epochs.keys()) {
    if (!state.spoken.has(partition)) state.epochs.delete(partition);
  }
  state.spoken.clear();
  state.spokenSinceMs = nowMs;
}

/** False when `epoch` is older than the newest that was seen. */
function raiseEpoch<R>(state: LedgerState<R>, partition: number, epoch: number): boolean {
  const newest = state.epochs.get(partition) ?? 0;
  if (epoch < newest) return false;
  state.spoken.add(partition);
  if (epoch > newest) {
    state.epochs.set(partition, epoch);
    // A new owner (L5).
    state.retoldAtMs.delete(partition);
  }
  return true;
}
