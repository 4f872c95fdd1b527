// Looks once a minute whether every mail of a partition is still looked after (audit.ts), a slice at a time (audit-budget.ts). What is not, in two
// rounds and at a last look at everything at once, is counted, named in the log, and put on its way again.
//
// A round reads what changes between its slices, so it only suspects. It trusts nothing that was kept for it: the heap, the desk and the
// ledger of attempts are read themselves.
//
// Fails: it only finds less; a round in which we stood still is forgotten.
import type { AttemptLedger } from './attempts.ts';
import { type Facts, type Lack, lackOf, type Positions } from './audit.ts';
import type { AuditBudget } from './audit-budget.ts';
import type { CheckpointLedger } from './checkpoint-ledger.ts';
import type { QueueContext } from './context.ts';
import type { Custody } from './custody.ts';
import type { Dispatch } from './dispatch.actor.ts';
import type { Mails } from './mails.ts';
import type { MessageInput } from './message.machine.ts';
import { positionsIn } from './recipient-steps.ts';
import type { Reports } from './reports.actor.ts';
import type { Leaser, SiteDesk } from './site-desk.actor.ts';
import type { Unheard } from './unheard.actor.ts';

const ROUND_EVERY_MS = 60_000;
/** Mails younger than this are not looked at: nothing that is well takes as long to be told that it stays. */
const AGE_MS_MIN = 60_000;
/** Of a mail so many are looked at in the time of a step. */
const RECIPIENTS_PER_STEP = 16;
/** Suspects of one round; the next one finds the others. */
const SUSPECTS_MAX = 1000;
const NAMED_MAX = 10;
/** A tick that comes so late means that we stood still: much is late then, and none of it forgotten. */
const STOOD_STILL_MS = 2500;

const NOTHING: ReadonlySet<number> = new Set();
const EVERYTHING: Positions = { has: () => true };
/** Somewhere: which recipients those are is asked at the last look. */
const FOUND = { atDesk: EVERYTHING, out: EVERYTHING };
const NOT_FOUND = { atDesk: NOTHING, out: NOTHING };

export interface AuditorOptions {
  owner: Leaser & {
    readonly mails: Pick<Mails, 'all' | 'get' | 'wakeUpOf'>;
    wake(custody: Custody): void;
    feed(custody: Custody, input: MessageInput): boolean;
  };
  dispatch: Pick<Dispatch, 'doubt'> & { readonly attempts: Pick<AttemptLedger, 'all' | 'get'> };
  checkpoints: { readonly ledger: Pick<CheckpointLedger, 'all'> };
  reports: Pick<Reports, 'has' | 'add'>;
  unheard: Pick<Unheard, 'holds'>;
  context: Pick<QueueContext, 'now' | 'onTrouble'> & {
    desk: Pick<SiteDesk, 'work'>;
    routes: { awaits(domain: string): boolean };
    counters: Pick<QueueContext['counters'], 'overdue'>;
    auditBudget: Pick<AuditBudget, 'spend'>;
  };
}

interface Round {
  number: number;
  beganAtMs: number;
  /** Work and attempts, which are read first: each marks its mail. */
  places: Iterator<Custody | undefined> | undefined;
  mails: Iterator<Custody>;
  suspects: Set<Custody>;
}

export class Auditor {
  readonly #options: AuditorOptions;
  #round: Round | undefined;
  #rounds = 0;
  #suspects: ReadonlySet<Custody> = new Set();
  #beganAtMs: number;
  #tickedAtMs: number;

  constructor(options: AuditorOptions) {
    this.#options = options;
    this.#beganAtMs = options.context.now();
    this.#tickedAtMs = this.#beganAtMs;
  }

  /** Called ten times a second: reads as long as the budget of all partitions lets it. */
  tick(nowMs: number): void {
    const stoodStill = nowMs - this.#tickedAtMs >= STOOD_STILL_MS;
    this.#tickedAtMs = nowMs;
    if (stoodStill) this.#forget();
    if (this.#round === undefined) {
      if (nowMs - this.#beganAtMs < ROUND_EVERY_MS) return;
      this.#begin(nowMs);
    } else if (this.#round.places !== undefined) this.#readPlaces(this.#round, this.#round.places);
    else if (this.#readMails(this.#round, nowMs)) this.#end(this.#round, nowMs);
  }

  #forget(): void {
    this.#round = undefined;
    this.#suspects = new Set();
    this.#beganAtMs = this.#tickedAtMs;
  }

  #begin(nowMs: number): void {
    this.#beganAtMs = nowMs;
    this.#rounds += 1;
    this.#round = {
      number: this.#rounds,
      beganAtMs: nowMs,
      places: this.#places(),
      mails: this.#options.owner.mails.all(),
      suspects: new Set(),
    };
  }

  #readPlaces(round: Round, places: Iterator<Custody | undefined>): void {
    const isOver = this.#options.context.auditBudget.spend(places, (custody) => {
      if (custody !== undefined) custody.foundInRound = round.number;
      return 0;
    });
    if (isOver) round.places = undefined;
  }

  /** Undefined for the work of other partitions: to pass it takes time, too. */
  *#places(): Generator<Custody | undefined> {
    const { context, dispatch, owner } = this.#options;
    for (const { item } of context.desk.work()) yield item.leaser === owner ? item.custody : undefined;
    for (const { custody } of dispatch.attempts.all()) yield custody;
  }

  /** True when all were read. */
  #readMails(round: Round, nowMs: number): boolean {
    return this.#options.context.auditBudget.spend(round.mails, (custody) => {
      // They are read in the order in which they were started.
      if (custody.startedAtMs > round.beganAtMs - AGE_MS_MIN) return 'enough';
      const places = custody.foundInRound === round.number ? FOUND : NOT_FOUND;
      const isSuspect = lackOf(custody, this.#facts(custody, nowMs, places)) !== undefined;
      if (isSuspect && round.suspects.size < SUSPECTS_MAX) round.suspects.add(custody);
      return Math.floor(custody.message.recipients.length / RECIPIENTS_PER_STEP);
    });
  }

  #facts(custody: Custody, nowMs: number, places: Pick<Facts, 'atDesk' | 'out'>): Facts {
    const { owner, reports, unheard, context } = this.#options;
    return {
      nowMs,
      wakeAtMs: owner.mails.wakeUpOf(custody),
      isUnheard: unheard.holds(custody),
      hasReport: reports.has(custody),
      isRouteAwaited: (domain) => context.routes.awaits(domain),
      ...places,
    };
  }

  #end(round: Round, nowMs: number): void {
    this.#round = undefined;
    const again = [...round.suspects].filter((custody) => this.#suspects.has(custody));
    this.#suspects = round.suspects;
    if (again.length > 0) this.#judge(again, nowMs);
  }

  /** The last look: nothing changes while it is taken. */
  #judge(suspects: readonly Custody[], nowMs: number): void {
    const { owner, context } = this.#options;
    const places = this.#placesOf(new Set(suspects));
    const overdue: { custody: Custody; lack: Lack }[] = [];
    for (const custody of suspects) {
      if (owner.mails.get(custody.message.queueId) !== custody) continue;
      const lack = lackOf(custody, this.#facts(custody, nowMs, places(custody)));
      if (lack !== undefined) overdue.push({ custody, lack });
    }
    if (overdue.length === 0) return;
    context.counters.overdue.add(overdue.length);
    const named = overdue.slice(0, NAMED_MAX).map(({ custody, lack }) => {
      return `${custody.message.queueId} (no ${lack.kind})`;
    });
    context.onTrouble(
      `partition ${owner.number}: ${overdue.length} mails were overdue and are woken: ${named.join(', ')}`,
    );
    for (const { custody, lack } of overdue) this.#wake(custody, lack, nowMs);
  }

  #placesOf(suspects: ReadonlySet<Custody>): (custody: Custody) => Pick<Facts, 'atDesk' | 'out'> {
    const { context, dispatch, owner } = this.#options;
    const atDesk = new Map<Custody, Set<number>>();
    const out = new Map<Custody, Set<number>>();
    for (const { siteKey, item } of context.desk.work()) {
      const { custody, positions, leaser } = item;
      if (leaser !== owner || !suspects.has(custody)) continue;
      const { recipients } = custody.message;
      note(
        atDesk,
        custody,
        positions.filter((position) => recipients[position]?.siteKey === siteKey),
      );
    }
    for (const { custody, positions } of dispatch.attempts.all()) {
      if (suspects.has(custody)) note(out, custody, positions);
    }
    return (custody) => {
      return { atDesk: atDesk.get(custody) ?? NOTHING, out: out.get(custody) ?? NOTHING };
    };
  }

  #wake(custody: Custody, lack: Lack, nowMs: number): void {
    const { owner, reports } = this.#options;
    switch (lack.kind) {
      case 'wake-up':
        owner.wake(custody);
        break;
      case 'stays':
        owner.feed(custody, { kind: 'stays', nowMs });
        break;
      case 'report':
        this.#reportAgain(custody, reports);
        break;
      case 'route':
      case 'work':
        owner.feed(custody, { kind: 'rerouted', nowMs, positions: lack.positions });
        break;
      case 'attempt':
        this.#lost(custody, lack.positions, nowMs);
    }
  }

  /** One that was stored after all is found by its queue id. */
  #reportAgain(custody: Custody, reports: Pick<Reports, 'add'>): void {
    const { message } = custody;
    const report = message.reporting === 'delay' ? 'delay' : 'failure';
    const told = report === 'delay' ? 'waiting' : 'failed';
    const positions = positionsIn(message, told);
    if (positions.length > 0) reports.add({ custody, report, positions });
  }

  /** Without doubt only when no checkpoint of it is open: what may have been delivered is marked and counted. */
  #lost(custody: Custody, positions: readonly number[], nowMs: number): void {
    const { owner, dispatch, checkpoints } = this.#options;
    const begin = `${custody.message.queueId}.`;
    const open = [...checkpoints.ledger.all()].filter(
      ({ attemptId }) => attemptId.startsWith(begin) && dispatch.attempts.get(attemptId) === undefined,
    );
    owner.feed(custody, { kind: 'lost', nowMs, positions, site: undefined, inDoubt: open.length > 0 });
    for (const one of open) dispatch.doubt(one, custody);
  }
}

function note(map: Map<Custody, Set<number>>, custody: Custody, positions: readonly number[]): void {
  const known = map.get(custody);
  if (known === undefined) map.set(custody, new Set(positions));
  else for (const position of positions) known.add(position);
}
