// Decides what one site's jobs and connections do: who waits, who is carried by which connection, when a connection is
// opened or closed, when the site counts as down. Never dials, never reads a clock. Mutates its state in place.
//
//              down, no other connection        arrived, not before untilMs or graceMs
//       open ────────────────────────▶ suspended ────────────────────────▶ probing
//        ▲                                 ▲          down                     │
//        │                                 └───────────────────────────────────┤
//        └──────────────────────────────────── finished ───────────────────────┘
//
// Invariants:
//  S1  Never more connections than the ceiling; never more than one while probing; none while suspended.
//  S2  A connection carries at most one job; a job is carried, or returned, or waits: never two of them, never none.
//  S3  Jobs start in the order they came; none starts after its startByMs.
//  S4  A site with another connection that lives or is being opened is not down: its ceiling falls instead.
//  S5  While suspended nothing waits. Owners are told at every change between suspended and open.
//  S6  A connection is idle only while nothing waits.
import type { Reply } from '#proto/postrider/v1/mail.ts';

/** Job of whatever shape; milliseconds since 1970 after which it may not start. */
export interface WaitingJob {
  readonly startByMs: number;
}

export type SitePhase =
  | { name: 'open' }
  | { name: 'suspended'; downs: number; sinceMs: number; untilMs: number; reason: Reply }
  | { name: 'probing'; downs: number };

export interface SiteConnection {
  status: 'opening' | 'idle' | 'busy';
  /** Jobs given to it so far. */
  mails: number;
  idleSinceMs: number;
}

export interface SiteState<J extends WaitingJob> {
  phase: SitePhase;
  waiting: J[];
  /** First of `waiting` that was not taken; the array is cut when all are. */
  head: number;
  connections: Map<number, SiteConnection>;
  /** Connections without a job, the last used one at the end. */
  idle: number[];
  opening: number;
  nextConnection: number;
  ceiling: { connections: number; untilMs: number };
}

export type SiteInput<J extends WaitingJob> =
  | { kind: 'arrived'; jobs: readonly J[]; nowMs: number }
  /** Connected and greeted. */
  | { kind: 'ready'; connection: number; nowMs: number }
  /** The host answered the job's transaction; a `spent` connection is gone. */
  | { kind: 'finished'; connection: number; connectionIs: 'reusable' | 'spent'; nowMs: number }
  /** The connection is gone, and says nothing about the host. */
  | { kind: 'closed'; connection: number; nowMs: number }
  /** A connection kept from earlier was found closed before the job could begin. */
  | { kind: 'stale'; connection: number; job: J; nowMs: number }
  /** The host does not serve us: no address answers, or it refuses the session. `jitter` is random in [0, 1). */
  | { kind: 'down'; connection: number; reason: Reply; jitter: number; nowMs: number }
  /** Time passes; about once a second. */
  | { kind: 'swept'; nowMs: number }
  /** The shard moves away or the worker stops: nothing may wait here any more. */
  | { kind: 'drained' };

export type ReturnCause = 'late' | 'suspended' | 'handed over';

export type SiteEffect<J extends WaitingJob> =
  | { kind: 'open'; connection: number }
  | { kind: 'carry'; connection: number; job: J }
  | { kind: 'close'; connection: number }
  | { kind: 'giveBack'; jobs: J[]; cause: ReturnCause }
  /** Tell every owner where the site stands. */
  | { kind: 'tell' };

export interface SitePolicy {
  connectionsMax: number;
  /** 0 means no limit. */
  connectionMailsMax: number;
  connectionIdleMaxMs: number;
  backoffMinMs: number;
  backoffMaxMs: number;
}

/** What owners need to know of a site. */
export interface SiteStanding {
  window: number;
  /** 0 when open. */
  suspendedUntilMs: number;
  reason: Reply | undefined;
}

/** Jobs that were on their way when the site was suspended come within this; a later one is meant as a probe. */
const GRACE_MS = 2000;

export function newSite<J extends WaitingJob>(policy: SitePolicy): SiteState<J> {
  return {
    phase: { name: 'open' },
    waiting: [],
    head: 0,
    connections: new Map(),
    idle: [],
    opening: 0,
    nextConnection: 1,
    ceiling: { connections: policy.connectionsMax, untilMs: 0 },
  };
}

/** Feeds one input; returns what the shell must do, in order. */
export function receive<J extends WaitingJob>(
  state: SiteState<J>,
  input: SiteInput<J>,
  policy: SitePolicy,
): SiteEffect<J>[] {
  switch (input.kind) {
    case 'arrived':
      return state.phase.name === 'suspended'
        ? whileSuspended(state, state.phase, input, policy)
        : admit(state, input.jobs, input.nowMs);
    case 'swept':
      return sweep(state, input.nowMs, policy);
    case 'drained':
      return drain(state);
    default: {
      const connection = state.connections.get(input.connection);
      return connection === undefined ? unknownConnection(input) : hear(state, connection, input, policy);
    }
  }
}

/** A connection that was closed by us may still speak; only a job that it gives back matters. */
function unknownConnection<J extends WaitingJob>(input: SiteInput<J>): SiteEffect<J>[] {
  return input.kind === 'stale' ? [{ kind: 'giveBack', jobs: [input.job], cause: 'handed over' }] : [];
}

function hear<J extends WaitingJob>(
  state: SiteState<J>,
  connection: SiteConnection,
  input: Extract<SiteInput<J>, { connection: number }>,
  policy: SitePolicy,
): SiteEffect<J>[] {
  const effects: SiteEffect<J>[] = [];
  switch (input.kind) {
    case 'ready':
      state.opening -= 1;
      rest(state, input.connection, connection, input.nowMs);
      break;
    case 'finished':
      whenFinished(state, connection, input, policy, effects);
      break;
    case 'closed':
      forget(state, input.connection, connection);
      break;
    case 'stale':
      forget(state, input.connection, connection);
      putFirst(state, input.job);
      break;
    case 'down':
      forget(state, input.connection, connection);
      if (state.connections.size === 0) return suspend(state, input, policy);
      // S4
      state.ceiling = {
        connections: state.connections.size,
        untilMs: input.nowMs + policy.backoffMinMs,
      };
      break;
  }
  return pump(state, input.nowMs, effects);
}

function admit<J extends WaitingJob>(
  state: SiteState<J>,
  jobs: readonly J[],
  nowMs: number,
): SiteEffect<J>[] {
  for (const job of jobs) state.waiting.push(job);
  return pump(state, nowMs, []);
}

/** The owners that knew of the suspension waited for its end; who comes late in it wants the site probed. */
function whileSuspended<J extends WaitingJob>(
  state: SiteState<J>,
  phase: SitePhase & { name: 'suspended' },
  input: SiteInput<J> & { kind: 'arrived' },
  policy: SitePolicy,
): SiteEffect<J>[] {
  const probe = input.nowMs >= Math.min(phase.untilMs, phase.sinceMs + GRACE_MS);
  if (!probe) return [{ kind: 'giveBack', jobs: [...input.jobs], cause: 'suspended' }];
  state.phase = { name: 'probing', downs: phase.downs };
  state.ceiling = { connections: policy.connectionsMax, untilMs: 0 };
  return admit(state, input.jobs, input.nowMs);
}

function whenFinished<J extends WaitingJob>(
  state: SiteState<J>,
  connection: SiteConnection,
  input: SiteInput<J> & { kind: 'finished' },
  policy: SitePolicy,
  effects: SiteEffect<J>[],
): void {
  if (state.phase.name === 'probing') {
    state.phase = { name: 'open' };
    effects.push({ kind: 'tell' });
  }
  const used = policy.connectionMailsMax > 0 && connection.mails >= policy.connectionMailsMax;
  if (input.connectionIs === 'reusable' && !used) {
    rest(state, input.connection, connection, input.nowMs);
    return;
  }
  forget(state, input.connection, connection);
  if (input.connectionIs === 'reusable') effects.push({ kind: 'close', connection: input.connection });
}

/** S5: what waits goes back to the owners, who are told when to come again. */
function suspend<J extends WaitingJob>(
  state: SiteState<J>,
  input: SiteInput<J> & { kind: 'down' },
  policy: SitePolicy,
): SiteEffect<J>[] {
  const downs = state.phase.name === 'probing' ? state.phase.downs + 1 : 1;
  const waitMs = Math.min(policy.backoffMaxMs, policy.backoffMinMs * 2 ** Math.min(downs - 1, 30));
  const untilMs = input.nowMs + Math.round(waitMs * (0.9 + 0.2 * input.jitter));
  state.phase = { name: 'suspended', downs, sinceMs: input.nowMs, untilMs, reason: input.reason };
  const jobs = takeAll(state);
  const effects: SiteEffect<J>[] = [{ kind: 'tell' }];
  if (jobs.length > 0) effects.push({ kind: 'giveBack', jobs, cause: 'suspended' });
  return effects;
}

function sweep<J extends WaitingJob>(
  state: SiteState<J>,
  nowMs: number,
  policy: SitePolicy,
): SiteEffect<J>[] {
  const effects: SiteEffect<J>[] = [];
  const quiet = state.idle.findIndex((id) => {
    return state.connections.get(id)!.idleSinceMs + policy.connectionIdleMaxMs > nowMs;
  });
  // The longest idle ones stand first: they are the ones that were not needed.
  for (const id of state.idle.splice(0, quiet < 0 ? state.idle.length : quiet)) {
    state.connections.delete(id);
    effects.push({ kind: 'close', connection: id });
  }
  if (nowMs >= state.ceiling.untilMs) state.ceiling = { connections: policy.connectionsMax, untilMs: 0 };
  return pump(state, nowMs, effects);
}

function drain<J extends WaitingJob>(state: SiteState<J>): SiteEffect<J>[] {
  const effects: SiteEffect<J>[] = [];
  const jobs = takeAll(state);
  if (jobs.length > 0) effects.push({ kind: 'giveBack', jobs, cause: 'handed over' });
  for (const [id, connection] of state.connections) {
    if (connection.status === 'busy') continue;
    state.connections.delete(id);
    effects.push({ kind: 'close', connection: id });
  }
  state.idle = [];
  state.opening = 0;
  return effects;
}

/** Gives jobs to idle connections, then opens as many more as there are jobs without one (S1, S3, S6). */
function pump<J extends WaitingJob>(
  state: SiteState<J>,
  nowMs: number,
  effects: SiteEffect<J>[],
): SiteEffect<J>[] {
  const late: J[] = [];
  while (state.head < state.waiting.length) {
    const job = state.waiting[state.head]!;
    if (job.startByMs < nowMs) late.push(job);
    else if (state.idle.length > 0) effects.push(carry(state, job));
    else break;
    state.head += 1;
  }
  const left = state.waiting.length - state.head;
  if (left === 0 && state.head > 0) takeAll(state);
  if (late.length > 0) effects.push({ kind: 'giveBack', jobs: late, cause: 'late' });
  const ceiling = state.phase.name === 'probing' ? 1 : state.ceiling.connections;
  while (state.opening < left && state.connections.size < ceiling) {
    const id = state.nextConnection++;
    state.connections.set(id, { status: 'opening', mails: 0, idleSinceMs: 0 });
    state.opening += 1;
    effects.push({ kind: 'open', connection: id });
  }
  return effects;
}

function carry<J extends WaitingJob>(state: SiteState<J>, job: J): SiteEffect<J> {
  const id = state.idle.pop()!;
  const connection = state.connections.get(id)!;
  connection.status = 'busy';
  connection.mails += 1;
  return { kind: 'carry', connection: id, job };
}

function rest<J extends WaitingJob>(
  state: SiteState<J>,
  id: number,
  connection: SiteConnection,
  nowMs: number,
): void {
  connection.status = 'idle';
  connection.idleSinceMs = nowMs;
  state.idle.push(id);
}

function forget<J extends WaitingJob>(state: SiteState<J>, id: number, connection: SiteConnection): void {
  state.connections.delete(id);
  if (connection.status === 'opening') state.opening -= 1;
  if (connection.status === 'idle') state.idle.splice(state.idle.indexOf(id), 1);
}

/** A job that could not begin keeps its turn (S3). */
function putFirst<J extends WaitingJob>(state: SiteState<J>, job: J): void {
  state.waiting = [job, ...takeAll(state)];
}

function takeAll<J extends WaitingJob>(state: SiteState<J>): J[] {
  const jobs = state.waiting.slice(state.head);
  state.waiting = [];
  state.head = 0;
  return jobs;
}

/** Where the site stands: the window of every owner is four jobs per connection, within 64 to 1024. */
export function standing<J extends WaitingJob>(state: SiteState<J>, policy: SitePolicy): SiteStanding {
  const { phase } = state;
  if (phase.name === 'suspended') return { window: 0, suspendedUntilMs: phase.untilMs, reason: phase.reason };
  const window = Math.min(1024, Math.max(64, 4 * policy.connectionsMax));
  return { window, suspendedUntilMs: 0, reason: undefined };
}

/** Jobs that wait for a connection. */
export function waitingCount<J extends WaitingJob>(state: SiteState<J>): number {
  return state.waiting.length - state.head;
}

/** Nothing is known that would be lost with the state. */
export function isForgettable<J extends WaitingJob>(state: SiteState<J>, nowMs: number): boolean {
  const { phase } = state;
  // Some time after its suspension a site that nobody asked for again may start afresh.
  const remembers =
    phase.name === 'suspended' && nowMs < phase.untilMs + GRACE_MS + (phase.untilMs - phase.sinceMs);
  return state.connections.size === 0 && waitingCount(state) === 0 && !remembers;
}
