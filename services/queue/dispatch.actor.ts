// The attempts of one partition: makes jobs of work that a site has room for, hears what becomes of them, and knows
// which worker has which, so that no outcome is lost and none is acted on twice.
//
// Fails: of an attempt that is not known (its mail is settled, or it was given up) a fate is believed, and what may be a second copy
// is counted as in doubt. What is acted on is acknowledged only when it is stored, and when it is stored that its checkpoint means
// nothing any more.

import { subjects } from '#libs/nats/layout.ts';
import {
  type InflightAttempt,
  type Job,
  type Outcome,
  OutcomeAck,
  type OutcomeBatch,
} from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { type Attempt, AttemptLedger, type Origin } from './attempts.ts';
import type { OpenCheckpoint } from './checkpoint-ledger.ts';
import type { AttemptCheckpoints } from './checkpoints.actor.ts';
import type { QueueContext } from './context.ts';
import type { Custody, PendingAck } from './custody.ts';
import { doubtfulPositions } from './doubt.ts';
import { noted, takeTooMany } from './ended-attempts.ts';
import { hasPassed } from './inflight.ts';
import { Jobs } from './jobs.ts';
import type { MessageInput } from './message.machine.ts';
import { isInDoubt, knownOf, NOBODY_TOLD, resultsOf } from './outcome-results.ts';
import { noteNextAttempt, startOutcomeSpan } from './outcome-span.ts';
import type { PositionResult } from './recipient-steps.ts';
import { Rivals } from './rivals.ts';
import { SecondCopies } from './second-copies.ts';
import type { WorkItem } from './site-desk.actor.ts';

/** Work that waited for its site longer than this is routed again before it is sent. */
const REROUTE_AFTER_MS = 600_000;

/** The owner, as far as its attempts are concerned. */
export interface DispatchOwner {
  readonly number: number;
  readonly epoch: number;
  /** Jobs may be made only while it is. */
  readonly isOpen: boolean;
  find(queueId: string): Custody | undefined;
  /** False when the input changed nothing. */
  feed(custody: Custody, input: MessageInput): boolean;
  /** A worker did not find what the mail refers to. */
  onContentMissing(custody: Custody): void;
}

export class Dispatch {
  readonly attempts = new AttemptLedger();
  readonly #owner: DispatchOwner;
  readonly #context: QueueContext;
  readonly #checkpoints: () => AttemptCheckpoints;
  readonly secondCopies: SecondCopies;
  readonly #rivals = new Rivals(this.attempts);
  readonly #jobs: Jobs;

  /** The checkpoints are there as soon as the partition is claimed. */
  constructor(owner: DispatchOwner, context: QueueContext, checkpoints: () => AttemptCheckpoints) {
    this.#owner = owner;
    this.#context = context;
    this.#checkpoints = checkpoints;
    this.#jobs = new Jobs(owner, context);
    this.secondCopies = new SecondCopies({ ...context, owner });
  }

  /** Number of the last attempt that was leased. */
  get attemptCount(): number {
    return this.#jobs.count;
  }

  /** Makes the job of waiting work, unless the mail moved on meanwhile. */
  lease(item: WorkItem, site: Site, nowMs: number): Job | undefined {
    if (!this.#owner.isOpen) return undefined;
    const { custody } = item;
    const { recipients } = custody.message;
    const positions = item.positions.filter((position) => {
      const recipient = recipients[position];
      return recipient?.phase === 'ready' && recipient.siteKey === site.key;
    });
    if (positions.length === 0) return undefined;
    if (item.readyAtMs + REROUTE_AFTER_MS < nowMs) {
      this.#owner.feed(custody, { kind: 'rerouted', nowMs, positions });
      return undefined;
    }
    this.#owner.feed(custody, { kind: 'dispatched', positions });
    const job = this.#jobs.make(custody, { positions, siteKey: site.key, nowMs });
    const base = { custody, positions, siteKey: site.key, sentAtMs: nowMs, worker: '' };
    const origin = { kind: 'leased', site, job } as const;
    this.attempts.add({
      ...base,
      id: job.attemptId,
      origin,
      checkpointed: false,
      finished: false,
    });
    return job;
  }

  /**
   * The job of an attempt that nobody accepted, to be sent again: under a new id. The first one may still come to a worker, and what
   * that one says of it, or passes, must not be taken for a word about this one.
   */
  renewed(attempt: Attempt, origin: Extract<Origin, { kind: 'leased' }>, nowMs: number): Job {
    const { custody, id } = attempt;
    this.attempts.remove(id);
    this.secondCopies.lost(id);
    const job = this.#jobs.again(origin.job, custody, nowMs);
    this.attempts.add({ ...attempt, id: job.attemptId, origin: { ...origin, job }, sentAtMs: nowMs });
    return job;
  }

  /**
   * An attempt that a worker has from an earlier owner; false when it is not wanted: its recipients have their fates, or another one is
   * out for them. One that has passed its checkpoint is always wanted, and stops those that have not.
   */
  adopt(worker: string, running: InflightAttempt): boolean {
    if (this.attempts.get(running.attemptId) !== undefined) return true;
    const custody = this.#owner.find(running.queueId);
    const recipients = custody?.message.recipients ?? [];
    const asked = running.recipients.length > 0 ? running.recipients : [...recipients.keys()];
    const checkpointed = this.#mayHaveSent(running);
    const inPhase = (phase: string) => asked.filter((position) => recipients[position]?.phase === phase);
    const [free, taken] = [inPhase('waiting'), checkpointed ? inPhase('attempting') : []];
    const positions = [...free, ...taken];
    if (custody === undefined || positions.length === 0) return false;
    if (taken.length > 0) this.#joins(custody);
    this.#owner.feed(custody, { kind: 'adopted', positions: free, siteKey: running.siteKey });
    this.attempts.add({
      id: running.attemptId,
      custody,
      positions,
      siteKey: running.siteKey,
      origin: { kind: 'adopted' },
      sentAtMs: this.#context.now(),
      worker,
      checkpointed,
      finished: false,
    });
    return true;
  }

  /** It is not wanted; whether it has passed its checkpoint, and so may deliver all the same, is counted. */
  refuse(worker: string, running: InflightAttempt): void {
    if (this.#mayHaveSent(running)) this.secondCopies.count(running.attemptId);
    this.cancel(worker, running.attemptId);
  }

  /** Behind our fence nothing else of an earlier owner was stored. */
  #mayHaveSent(running: InflightAttempt): boolean {
    return hasPassed(running) || this.#checkpoints().ledger.get(running.attemptId) !== undefined;
  }

  /** One more is out, whose final dot may have been sent. */
  #joins(custody: Custody): void {
    this.#rivals.share(custody);
    for (const { worker, id, checkpointed } of this.#rivals.of(custody))
      if (!checkpointed && worker !== '') this.cancel(worker, id);
  }

  /** Its checkpoint was left open by an earlier owner, and nobody has it: it may have delivered. */
  doubt(checkpoint: OpenCheckpoint, custody: Custody): void {
    const { attemptId } = checkpoint;
    this.secondCopies.count(attemptId);
    const positions = doubtfulPositions(checkpoint, custody.message);
    const doubted = { kind: 'doubted', nowMs: this.#context.now(), positions } as const;
    // It is over when that is stored, or need not be.
    this.#onceStored(custody, { worker: '', attemptId, positions }, () => this.#owner.feed(custody, doubted));
    // Another one of it may have been adopted: what is in doubt is not tried, where it is to be held.
    this.#cancelRivals(custody);
  }

  /** Checkpoints of a worker; `isFresh` when they were passed behind our first fence. */
  checkpointed(worker: string, attemptIds: readonly string[], isFresh: boolean): void {
    for (const id of attemptIds) {
      const attempt = this.attempts.get(id);
      if (attempt === undefined) {
        if (isFresh) this.secondCopies.passed(id);
        continue;
      }
      // Two workers have passed it: the job was sent again, and the first one had it after all.
      if (attempt.checkpointed && attempt.worker !== '' && attempt.worker !== worker)
        this.secondCopies.count(id);
      attempt.checkpointed = true;
      if (attempt.worker === '') attempt.worker = worker;
    }
  }

  heard(batch: OutcomeBatch): void {
    const nowMs = this.#context.now();
    if (batch.unfenced === true) this.#checkpoints().missed();
    for (const id of batch.accepted) {
      const attempt = this.attempts.get(id);
      // Whose final dot may be out has it, whoever accepts it too.
      if (attempt !== undefined && !attempt.checkpointed) attempt.worker = batch.worker;
      // Held up on its way, and sent again since.
      if (attempt === undefined && this.secondCopies.isLost(id)) this.cancel(batch.worker, id);
    }
    for (const outcome of batch.outcomes) this.#outcome(batch.worker, outcome, nowMs);
    for (const status of batch.sites) this.#context.desk.status(status, nowMs);
  }

  #outcome(worker: string, outcome: Outcome, nowMs: number): void {
    const attempt = this.attempts.get(outcome.attemptId);
    if (attempt === undefined) this.#late(worker, outcome, nowMs);
    else if (!attempt.finished) this.#finished(attempt, worker, outcome, nowMs);
  }

  #finished(attempt: Attempt, worker: string, outcome: Outcome, nowMs: number): void {
    if (isInDoubt(outcome, attempt.positions)) {
      attempt.checkpointed = true;
      this.#lose(attempt, worker, knownOf(outcome, this.#context.interned));
      return;
    }
    const { custody, origin } = attempt;
    const results = resultsOf(outcome, attempt.positions, this.#context.interned);
    this.#leaveSite(attempt, results !== 'returned');
    if (results === 'returned') {
      const site = origin.kind === 'leased' ? origin.site : undefined;
      const positions = this.#rivals.alone(attempt);
      this.acknowledge([{ worker, attemptId: attempt.id }]);
      this.#owner.feed(custody, { kind: 'returned', nowMs, positions, site });
      // A mail that was moved meanwhile is sent with its new place.
      const isMoved = origin.kind === 'leased' && origin.job.ref !== custody.message.ref;
      if (outcome.contentMissing === true && !isMoved) this.#owner.onContentMissing(custody);
    } else {
      attempt.finished = true;
      // While it was out, an attempt that had been given up said that it had delivered.
      this.secondCopies.delivered(attempt.id, results, custody);
      for (const { result } of results) this.#context.counters.outcomes.count(result);
      const span = startOutcomeSpan(this.#context.tracing, { custody, outcome, results });
      const believed = this.#rivals.believed(attempt, results);
      if (this.#rivals.isShared(custody)) this.#countOvertaken(custody, believed, attempt);
      this.#learn(
        custody,
        { worker, attemptId: attempt.id, positions: attempt.positions, span },
        { kind: 'outcome', nowMs, results: believed },
      );
    }
  }

  /** Its mail is settled, was tried anew, or is with another attempt. */
  #late(worker: string, outcome: Outcome, nowMs: number): void {
    const { attemptId, queueId, jobRecipients } = outcome;
    const custody = this.#owner.find(queueId);
    // Nobody knows yet whom the mail is for: its worker says it again.
    if (custody?.message.recipients.length === 0) return;
    const asked = jobRecipients.length > 0 ? jobRecipients : [...(custody?.message.recipients.keys() ?? [0])];
    const ack = { worker, attemptId, positions: asked };
    const results = outcome.inDoubt ? 'in doubt' : resultsOf(outcome, asked, this.#context.interned);
    this.secondCopies.heard(attemptId, results, custody);
    if (results !== 'in doubt') this.secondCopies.actedOn(attemptId);
    if (custody === undefined || results === 'returned') this.acknowledge([ack]);
    else if (results === 'in doubt') this.#lateDoubt(custody, ack, { asked, outcome });
    else {
      const span = startOutcomeSpan(this.#context.tracing, { custody, outcome, results });
      this.#countOvertaken(custody, results);
      this.#learn(custody, { ...ack, span }, { kind: 'late', nowMs, results });
    }
    if (custody !== undefined) this.#cancelRivals(custody);
  }

  /** Recipients that are told have their fates; the others may have been reached. */
  #lateDoubt(
    custody: Custody,
    ack: PendingAck,
    { asked, outcome }: { asked: readonly number[]; outcome: Outcome },
  ): void {
    const known = knownOf(outcome, this.#context.interned);
    const told = new Set(known.map(({ position }) => position));
    const positions = asked.filter((position) => !told.has(position));
    const nowMs = this.#context.now();
    this.#onceStored(custody, ack, () => {
      const isLearned = this.#owner.feed(custody, { kind: 'late', nowMs, results: known });
      const isMarked = this.#owner.feed(custody, { kind: 'doubted', nowMs, positions });
      return isLearned || isMarked;
    });
  }

  /** Now, and not when they say so: that may be to a next owner, for which the mail is over. */
  #countOvertaken(custody: Custody, results: readonly PositionResult[], but?: Attempt): void {
    for (const id of this.#rivals.overtaken(custody, results, but)) this.secondCopies.count(id);
  }

  /** Attempts that are out for nobody any more are stopped, if they have not passed their checkpoint. */
  #cancelRivals(custody: Custody): void {
    const { recipients } = custody.message;
    for (const attempt of this.#rivals.of(custody)) {
      if (attempt.worker === '' || attempt.checkpointed) continue;
      const isWanted = attempt.positions.some((position) => {
        const { phase, inDoubt } = recipients[position]!;
        return phase === 'attempting' && !(inDoubt && this.#context.policy.inDoubt === 'hold');
      });
      if (!isWanted) this.cancel(attempt.worker, attempt.id);
    }
  }

  /** Stops an attempt that nobody wants any more, if it has not passed its checkpoint. */
  cancel(worker: string, attemptId: string): void {
    const { number: partition, epoch } = this.#owner;
    const message = { partition, epoch, attemptIds: [], cancelled: [attemptId], adopted: [] };
    this.#context.link.publish(subjects.outcomeAck(worker), OutcomeAck.encode(message).finish());
  }

  #learn(
    custody: Custody,
    ack: PendingAck,
    input: MessageInput & { results: readonly PositionResult[] },
  ): void {
    this.#onceStored(custody, noted(ack, input.results), () => {
      const isLearned = this.#owner.feed(custody, input);
      if (ack.span !== undefined)
        noteNextAttempt(ack.span, custody.message, input.results, this.#context.clock.toWall);
      return isLearned;
    });
  }

  /** The acknowledgement waits until what `change` did to the mail is stored; at once when it says that it was nothing. */
  #onceStored(custody: Custody, ack: PendingAck, change: () => boolean): void {
    const before = custody.acks;
    custody.acks = [...before, ack];
    const isChanged = change();
    if (!isChanged) custody.acks = before;
    this.acknowledge(isChanged ? takeTooMany(custody) : [ack]);
  }

  /** The worker that had the attempt is gone, or nobody ever had it; what it passed has been heard. */
  lost(attempt: Attempt): void {
    this.#lose(attempt, '', NOBODY_TOLD);
  }

  /** `worker` waits to hear that it was acted on; nobody when it is "". `known`: what was said to some recipients all the same. */
  #lose(attempt: Attempt, worker: string, known: readonly PositionResult[]): void {
    const { now, policy } = this.#context;
    const { custody, id, checkpointed, origin } = attempt;
    const positions = this.#rivals.alone(attempt);
    this.#leaveSite(attempt, false);
    if (checkpointed) this.secondCopies.count(id);
    else this.secondCopies.lost(id);
    const site = origin.kind === 'leased' ? origin.site : undefined;
    const lost = { kind: 'lost', nowMs: now(), positions, site, inDoubt: checkpointed } as const;
    const ack = { worker, attemptId: id, positions: attempt.positions };
    const change = (): boolean => {
      const isLearned = this.#owner.feed(custody, { kind: 'outcome', nowMs: now(), results: known });
      const isFed = this.#owner.feed(custody, lost);
      return isLearned || isFed;
    };
    // What is held, or known, is stored: the checkpoint must be found until then.
    if (checkpointed && (policy.inDoubt === 'hold' || known.length > 0)) {
      attempt.finished = true;
      this.#onceStored(custody, ack, change);
    } else {
      this.acknowledge([ack]);
      change();
    }
  }

  /** What became of these attempts is stored with their mails, or nothing is to be. */
  acknowledge(acks: readonly PendingAck[]): void {
    for (const ack of acks) {
      const attempt = this.attempts.get(ack.attemptId);
      if (attempt?.origin.kind === 'adopted') this.secondCopies.over(ack.attemptId);
      this.attempts.remove(ack.attemptId);
      this.#checkpoints().end(ack.attemptId, () => this.#acknowledged(ack));
    }
  }

  /** The mails of these attempts are settled, and that is stored: nothing else need be. */
  settled(acks: readonly PendingAck[]): void {
    for (const ack of acks) {
      const attempt = this.attempts.get(ack.attemptId);
      if (attempt?.origin.kind === 'adopted') this.secondCopies.over(ack.attemptId);
      this.attempts.remove(ack.attemptId);
      this.#checkpoints().over(ack.attemptId);
      this.#acknowledged(ack);
    }
  }

  #acknowledged({ worker, attemptId, span }: PendingAck): void {
    span?.end();
    if (worker !== '') this.#context.acknowledge(this.#owner, worker, attemptId);
  }

  /** The partition is given up: its attempts take no room at the sites any more. */
  drop(): void {
    for (const attempt of this.attempts.unfinished()) this.#leaveSite(attempt, false);
  }

  /** An adopted attempt never took room: another owner's window sent it. */
  #leaveSite({ origin, siteKey }: Attempt, answered: boolean): void {
    if (origin.kind === 'leased') this.#context.desk.finished(siteKey, answered);
  }
}
