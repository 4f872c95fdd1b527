// One site: feeds its machine, opens and closes its carriers, tells owners where it stands and the ledger what became of
// each attempt.
//
// Fails: a host that does not serve us suspends the site and gives waiting jobs back; trouble with one mail is that
// attempt's outcome and nothing more.
import { type Outcome, OutcomeKind, type SiteStatus } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { type Attempt, outcomeForAll, type RecipientFate } from './attempt.ts';
import type { SiteNeed } from './budget.machine.ts';
import type { Carrier, CarrierEvent } from './carrier.ts';
import { DeadAddresses } from './route-order.ts';
import {
  newSite,
  type ReturnCause,
  receive,
  type SiteInput,
  type SitePolicy,
  type SiteRoom,
  type SiteState,
} from './site.machine.ts';
import { isForgettable, openCount, standing, statusOf, waitingCount, wanted } from './site-standing.ts';

/** Window that owners assume before a site has said anything. */
const ASSUMED_WINDOW = 64;
/** Owners hear that a full worker has room again when it had room for so long. */
const ROOM_IS_BACK_MS = 5000;

const WORDS_OF: Record<ReturnCause, string> = {
  late: 'no connection became free in time',
  suspended: 'the site is suspended',
  'handed over': 'another worker takes over the site',
  cancelled: 'the mail is not to be delivered by this attempt any more',
};

/** What becomes of an attempt that we end; `answered` are recipients whose fate is known. */
export type AttemptEnd = (attempt: Attempt, answered: readonly RecipientFate[]) => Outcome;

/** What every site of the worker uses. */
export interface SiteContext {
  readonly policy: SitePolicy;
  /** Milliseconds by a clock that nobody sets, and a time of it by the wall clock. */
  readonly now: () => number;
  readonly toWall: (atMs: number) => number;
  /** Random in [0, 1). */
  readonly random: () => number;
  /** Makes a carrier that begins to connect; it tells nothing before it is returned. */
  openCarrier(site: SiteActor, onEvent: (event: CarrierEvent) => void): Carrier;
  /** The attempt is over. */
  finished(attempt: Attempt, outcome: Outcome): void;
  begun(attempt: Attempt, site: SiteActor): void;
  tell(partition: number, status: SiteStatus): void;
  onSuspended(status: SiteStatus): void;
  /** So many jobs of the site found no connection in time. */
  onLate(siteKey: string, jobs: number): void;
  /** What the worker lets the site do now. */
  room(site: SiteActor): SiteRoom;
  /** What the site has and could use may have changed. */
  onNeed(site: SiteActor): void;
}

export class SiteActor {
  readonly key: string;
  readonly shard: number;
  readonly dead = new DeadAddresses();
  /** The newest route that an owner sent. */
  site: Site;
  readonly #context: SiteContext;
  readonly #state: SiteState<Attempt>;
  readonly #carriers = new Map<number, Carrier>();
  /** Those that say goodbye. */
  readonly #leaving = new Set<Carrier>();
  /** What each busy carrier carries. */
  readonly #carried = new Map<number, Attempt>();
  readonly #partitions = new Set<number>();
  #usedAtMs = 0;
  /** When it last stood in line for a connection, and whether owners know. */
  #inLineAtMs = Number.NEGATIVE_INFINITY;
  #worker: 'has room' | 'is full' = 'has room';

  constructor(site: Site, shard: number, context: SiteContext) {
    this.key = site.key;
    this.shard = shard;
    this.site = site;
    this.#context = context;
    this.#state = newSite(context.policy);
  }

  get waiting(): number {
    return waitingCount(this.#state);
  }

  /** Connections that are open or being opened, those that say goodbye included. */
  get open(): number {
    return openCount(this.#state);
  }

  get need(): SiteNeed {
    const { leaving, idle, opening } = this.#state;
    return { open: this.open, leaving, idle: idle.length, opening, wanted: wanted(this.#state) };
  }

  /** Attempts that are being carried. */
  get running(): number {
    return this.#carried.size;
  }

  get phase(): string {
    return this.#state.phase.name;
  }

  /** New jobs for the site; the route that came with them is the newest. */
  arrived(site: Site, attempts: readonly Attempt[], how: 'take' | 'give back'): void {
    if (how === 'give back') {
      this.#giveBack(attempts, 'handed over');
      return;
    }
    this.site = site;
    const nowMs = this.#context.now();
    this.#usedAtMs = nowMs;
    for (const { job } of attempts) this.#meet(job.partition);
    this.#feed({ kind: 'arrived', jobs: attempts, nowMs });
  }

  sweep(nowMs: number): void {
    for (const carrier of this.#carriers.values()) carrier.sweep(nowMs);
    this.#feed({ kind: 'swept', nowMs });
    if (this.#worker === 'is full' && this.#inLineAtMs + ROOM_IS_BACK_MS < nowMs) this.#tellRoom('has room');
  }

  /** There is room for a connection more. */
  mayOpenOne(): void {
    this.#feed({ kind: 'roomy', nowMs: this.#context.now() });
  }

  /** Another site needs a connection more than this one. */
  giveUpOne(): void {
    this.#feed({ kind: 'asked' });
  }

  /** It found no room for a connection that it could use. */
  standsInLine(): void {
    this.#inLineAtMs = this.#context.now();
    if (this.#worker === 'has room') this.#tellRoom('is full');
  }

  /** Gives the attempt back if it waits. One that is carried meets its refusal at its checkpoint. */
  cancel(attempt: Attempt): void {
    this.#feed({ kind: 'cancelled', job: attempt });
  }

  /** Gives back what waits and closes what is idle; what runs goes on. */
  drain(): void {
    this.#feed({ kind: 'drained' });
  }

  /** Ends everything now; what becomes of attempts that run is told by `end`. The site is not used any more. */
  abort(end: AttemptEnd): void {
    this.drain();
    for (const carrier of this.#leaving) carrier.destroy();
    this.#leaving.clear();
    for (const [connection, carrier] of this.#carriers) {
      const answered = carrier.destroy();
      const attempt = this.#carried.get(connection);
      if (attempt !== undefined) this.#context.finished(attempt, end(attempt, answered));
    }
    this.#carriers.clear();
    this.#carried.clear();
  }

  /** Ends those attempts that run and have not sent their final dot; the others go on. */
  abortUnsent(end: AttemptEnd): void {
    for (const [connection, attempt] of this.#carried) {
      if (attempt.dot === 'out') continue;
      const answered = this.#carriers.get(connection)!.destroy();
      this.#carriers.delete(connection);
      this.#carried.delete(connection);
      this.#context.finished(attempt, end(attempt, answered));
      this.#feed({ kind: 'closed', connection, nowMs: this.#context.now() });
    }
  }

  isForgettable(nowMs: number, unusedForMs: number): boolean {
    return this.#usedAtMs + unusedForMs < nowMs && isForgettable(this.#state, nowMs);
  }

  /** An owner that is new to the site learns what differs from what it assumes. */
  #meet(partition: number): void {
    if (this.#partitions.has(partition)) return;
    this.#partitions.add(partition);
    const status = this.#status();
    if (status.window !== ASSUMED_WINDOW) this.#context.tell(partition, status);
  }

  #feed(input: SiteInput<Attempt>): void {
    const { policy } = this.#context;
    for (const effect of receive(this.#state, input, policy, this.#context.room(this))) {
      switch (effect.kind) {
        case 'open':
          this.#open(effect.connection);
          break;
        case 'carry':
          this.#carry(effect.connection, effect.job);
          break;
        case 'close':
          this.#close(effect.connection);
          break;
        case 'giveBack':
          this.#giveBack(effect.jobs, effect.cause);
          break;
        case 'tell':
          this.#tell(this.#partitions);
          if (this.phase === 'suspended') this.#context.onSuspended(this.#status());
          break;
      }
    }
    this.#context.onNeed(this);
  }

  #open(connection: number): void {
    const carrier = this.#context.openCarrier(this, (event) => {
      if (event.kind === 'left') this.#left(carrier);
      else this.#heard(connection, event);
    });
    this.#carriers.set(connection, carrier);
  }

  #carry(connection: number, attempt: Attempt): void {
    this.#carried.set(connection, attempt);
    attempt.startedAtMs = this.#context.now();
    this.#context.begun(attempt, this);
    this.#carriers.get(connection)!.carry(attempt);
  }

  #close(connection: number): void {
    const carrier = this.#carriers.get(connection)!;
    this.#carriers.delete(connection);
    this.#leaving.add(carrier);
    carrier.quit();
  }

  #left(carrier: Carrier): void {
    if (this.#leaving.delete(carrier)) this.#feed({ kind: 'left', nowMs: this.#context.now() });
  }

  #heard(connection: number, event: Exclude<CarrierEvent, { kind: 'left' }>): void {
    // After an abort nothing is heard any more.
    if (!this.#carriers.has(connection)) return;
    const nowMs = this.#context.now();
    const attempt = this.#carried.get(connection);
    this.#carried.delete(connection);
    const gone = event.kind !== 'ready' && (event.kind !== 'finished' || event.connectionIs === 'spent');
    if (gone) this.#carriers.delete(connection);
    switch (event.kind) {
      case 'ready':
        this.#feed({ kind: 'ready', connection, nowMs });
        break;
      case 'finished':
        this.#context.finished(event.attempt, event.outcome);
        this.#feed({ kind: 'finished', connection, connectionIs: event.connectionIs, nowMs });
        break;
      case 'stale':
        this.#feed({ kind: 'stale', connection, job: event.attempt, nowMs });
        break;
      case 'closed':
        if (attempt !== undefined) this.#context.finished(attempt, event.outcome!);
        this.#feed({ kind: 'closed', connection, nowMs });
        break;
      case 'down': {
        if (attempt !== undefined) this.#context.finished(attempt, event.outcome!);
        const jitter = this.#context.random();
        this.#feed({ kind: 'down', connection, reason: event.reason, jitter, nowMs });
        break;
      }
    }
  }

  #status(): SiteStatus {
    const { policy, now, toWall } = this.#context;
    return statusOf(this.key, standing(this.#state, policy, this.#worker), { nowMs: now(), toWall });
  }

  #giveBack(attempts: readonly Attempt[], cause: ReturnCause): void {
    const reply = replyOf(cause, this.#status().reason);
    const partitions = new Set<number>();
    for (const attempt of attempts) {
      partitions.add(attempt.job.partition);
      const returned = { kind: OutcomeKind.RETURNED, reply, tls: '' };
      this.#context.finished(attempt, outcomeForAll(attempt.job, returned));
    }
    if (cause === 'late') this.#context.onLate(this.key, attempts.length);
    // Told again to those who seem not to know.
    if (cause === 'suspended') this.#tell(partitions);
  }

  #tellRoom(worker: 'has room' | 'is full'): void {
    this.#worker = worker;
    this.#tell(this.#partitions);
  }

  #tell(partitions: ReadonlySet<number>): void {
    const status = this.#status();
    for (const partition of partitions) this.#context.tell(partition, status);
  }
}

function replyOf(cause: ReturnCause, reason: Reply | undefined): Reply {
  return reason ?? { code: 0, enhanced: '4.4.5', text: WORDS_OF[cause], host: '' };
}
