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
//  S1  Never more connections than the ceiling, those that say goodbye included; never more than one while probing; none
//      while suspended. None is opened beyond what the worker has room for.
//  S2  A connection carries at most one job; a job is carried, or returned, or waits: never two of them, never none.
//  S3  Jobs start in the order they came; none starts after its startByMs.
//  S4  A site with another connection that lives or is being opened is not down: its ceiling falls instead.
//  S5  While suspended nothing waits. Owners are told at every change between suspended and open.
//  S6  A connection is idle only while nothing waits.
//  S7  While other sites stand in line for connections, one that had its turn is closed and not used again.
import type { Reply } from '#proto/postrider/v1/mail.ts';
import { GRACE_MS, wanted } from './site-standing.ts';

/** Job of whatever shape. */
export interface WaitingJob {
  /** It may not start afterwards; by the clock of `nowMs`, which is the worker's own. */
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
  /** Connections that said goodbye and are still open. */
  leaving: number;
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
  /** A connection that was closed by us is gone. */
  | { kind: 'left'; nowMs: number }
  /** The worker has room for connections again. */
  | { kind: 'roomy'; nowMs: number }
  /** Another site needs a connection more: one that is idle or being opened is given up. */
  | { kind: 'asked' }
  /** Its owner does not want the job any more. */
  | { kind: 'cancelled'; job: J }
  /** Time passes; about once a second. */
  | { kind: 'swept'; nowMs: number }
  /** The shard moves away or the worker stops: nothing may wait here any more. */
  | { kind: 'drained' };

export type ReturnCause = 'late' | 'suspended' | 'handed over' | 'cancelled';

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

/** What the worker, which has connections to many sites, lets this one do now. */
export interface SiteRoom {
  /** How many more connections may be opened. */
  connections: number;
  /** Other sites stand in line: a connection that had its turn makes room. */
  crowded: boolean;
}

/** Mails after which a connection had its turn: setting one up costs about as much as one or two. */
const TURN_MAILS = 10;

export const ROOM_FOR_ALL: SiteRoom = {
  connections: Number.POSITIVE_INFINITY,
  crowded: false,
};

export function newSite<J extends WaitingJob>(policy: SitePolicy): SiteState<J> {
  return {
    phase: { name: 'open' },
    waiting: [],
    head: 0,
    connections: new Map(),
    idle: [],
    opening: 0,
    leaving: 0,
    nextConnection: 1,
    ceiling: { connections: policy.connectionsMax, untilMs: 0 },
  };
}

/** What bounds a site: its own limits, and what the worker has room for. */
interface Bounds {
  policy: SitePolicy;
  room: SiteRoom;
}

/** Feeds one input; returns what the shell must do, in order. */
export function receive<J extends WaitingJob>(
  state: SiteState<J>,
  input: SiteInput<J>,
  policy: SitePolicy,
  room: SiteRoom,
): SiteEffect<J>[] {
  switch (input.kind) {
    case 'arrived':
      return state.phase.name === 'suspended'
        ? whileSuspended(state, state.phase, input, { policy, room })
        : admit(state, input.jobs, input.nowMs, room);
    case 'swept':
      return sweep(state, input.nowMs, policy, room);
    case 'drained':
      return drain(state);
    case 'left':
      state.leaving -= 1;
      return pump(state, input.nowMs, [], room);
    case 'roomy':
      return pump(state, input.nowMs, [], room);
    case 'asked':
      return giveUpOne(state);
    case 'cancelled':
      return cancel(state, input.job);
    default: {
      const connection = state.connections.get(input.connection);
      if (connection === undefined) return unknownConnection(input);
      return hear(state, connection, input, { policy, room });
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
  { policy, room }: Bounds,
): SiteEffect<J>[] {
  const effects: SiteEffect<J>[] = [];
  switch (input.kind) {
    case 'ready':
      state.opening -= 1;
      rest(state, input.connection, connection, input.nowMs);
      break;
    case 'finished':
      whenFinished(state, connection, input, { policy, room }, effects);
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
  return pump(state, input.nowMs, effects, room);
}

function admit<J extends WaitingJob>(
  state: SiteState<J>,
  jobs: readonly J[],
  nowMs: number,
  room: SiteRoom,
): SiteEffect<J>[] {
  for (const job of jobs) state.waiting.push(job);
  return pump(state, nowMs, [], room);
}

/** The owners that knew of the suspension waited for its end; who comes late in it wants the site probed. */
function whileSuspended<J extends WaitingJob>(
  state: SiteState<J>,
  phase: SitePhase & { name: 'suspended' },
  input: SiteInput<J> & { kind: 'arrived' },
  { policy, room }: Bounds,
): SiteEffect<J>[] {
  const probe = input.nowMs >= Math.min(phase.untilMs, phase.sinceMs + GRACE_MS);
  if (!probe) return [{ kind: 'giveBack', jobs: [...input.jobs], cause: 'suspended' }];
  state.phase = { name: 'probing', downs: phase.downs };
  state.ceiling = { connections: policy.connectionsMax, untilMs: 0 };
  return admit(state, input.jobs, input.nowMs, room);
}

function whenFinished<J extends WaitingJob>(
  state: SiteState<J>,
  connection: SiteConnection,
  input: SiteInput<J> & { kind: 'finished' },
  { policy, room }: Bounds,
  effects: SiteEffect<J>[],
): void {
  if (state.phase.name === 'probing') {
    state.phase = { name: 'open' };
    effects.push({ kind: 'tell' });
  }
  const used = policy.connectionMailsMax > 0 && connection.mails >= policy.connectionMailsMax;
  const hadItsTurn = room.crowded && connection.mails >= TURN_MAILS;
  if (input.connectionIs === 'reusable' && !used && !hadItsTurn) {
    rest(state, input.connection, connection, input.nowMs);
    return;
  }
  forget(state, input.connection, connection);
  if (input.connectionIs === 'reusable') effects.push(close(state, input.connection));
}

/** Says goodbye on a connection that the site has forgotten already. */
function close<J extends WaitingJob>(state: SiteState<J>, connection: number): SiteEffect<J> {
  state.leaving += 1;
  return { kind: 'close', connection };
}

/** The longest idle connection, or else one that is being opened. */
function giveUpOne<J extends WaitingJob>(state: SiteState<J>): SiteEffect<J>[] {
  let id = state.idle[0];
  if (id === undefined) {
    for (const [other, { status }] of state.connections) if (status === 'opening') id = other;
  }
  if (id === undefined) return [];
  forget(state, id, state.connections.get(id)!);
  return [close(state, id)];
}

/** One that is carried, or back already, is not here. */
function cancel<J extends WaitingJob>(state: SiteState<J>, job: J): SiteEffect<J>[] {
  const at = state.waiting.indexOf(job, state.head);
  if (at < 0) return [];
  state.waiting.splice(at, 1);
  return [{ kind: 'giveBack', jobs: [job], cause: 'cancelled' }];
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
  room: SiteRoom,
): SiteEffect<J>[] {
  const effects: SiteEffect<J>[] = [];
  const quiet = state.idle.findIndex((id) => {
    return state.connections.get(id)!.idleSinceMs + policy.connectionIdleMaxMs > nowMs;
  });
  // The longest idle ones stand first: they are the ones that were not needed.
  for (const id of state.idle.splice(0, quiet < 0 ? state.idle.length : quiet)) {
    state.connections.delete(id);
    effects.push(close(state, id));
  }
  if (nowMs >= state.ceiling.untilMs) state.ceiling = { connections: policy.connectionsMax, untilMs: 0 };
  return pump(state, nowMs, effects, room);
}

function drain<J extends WaitingJob>(state: SiteState<J>): SiteEffect<J>[] {
  const effects: SiteEffect<J>[] = [];
  const jobs = takeAll(state);
  if (jobs.length > 0) effects.push({ kind: 'giveBack', jobs, cause: 'handed over' });
  for (const [id, connection] of state.connections) {
    if (connection.status === 'busy') continue;
    state.connections.delete(id);
    effects.push(close(state, id));
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
  room: SiteRoom,
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
  const more = Math.min(wanted(state), room.connections);
  for (let opened = 0; opened < more; opened++) {
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
