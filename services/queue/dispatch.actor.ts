// The attempts of one partition: makes jobs of work that a site has room for, hears what becomes of them, and knows
// which worker has which, so that no outcome is lost and none is acted on twice.
//
// Fails: an outcome of an attempt that is not known (its mail is settled, or it was given up) is acknowledged; a fate
// that it tells is believed. What is acted on is acknowledged only when it is stored.
import type { InflightAttempt, Job, Outcome, OutcomeBatch } from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { type Attempt, AttemptLedger } from './attempts.ts';
import type { QueueContext } from './context.ts';
import type { Custody, PendingAck } from './custody.ts';
import { dispatchMailSpan, dueAtMsOf, traceOfAttempt } from './mail-span.ts';
import type { MessageInput } from './message.machine.ts';
import { resultsOf } from './outcome-results.ts';
import { noteNextAttempt, startOutcomeSpan } from './outcome-span.ts';
import type { PositionResult } from './recipient-steps.ts';
import type { WorkItem } from './site-desk.actor.ts';

/** Work that waited for its site longer than this is routed again before it is sent. */
const REROUTE_AFTER_MS = 600_000;
/** A worker that cannot start a job within this gives it back. */
const START_WITHIN_MS = 300_000;

/** The owner, as far as its attempts are concerned. */
export interface DispatchOwner {
  readonly number: number;
  readonly epoch: number;
  /** Jobs may be made only while it is. */
  readonly isOpen: boolean;
  find(queueId: string): Custody | undefined;
  /** False when the input changed nothing. */
  feed(custody: Custody, input: MessageInput): boolean;
  /** No attempt reads the mail in its pack any more. */
  onPackUnread(custody: Custody): void;
}

export class Dispatch {
  readonly attempts = new AttemptLedger();
  readonly #owner: DispatchOwner;
  readonly #context: QueueContext;
  #attemptCount = 0;
  /** Checkpoints of attempts that are not known yet: the partition is being opened. */
  #earlyCheckpoints: Set<string> | undefined = new Set();

  constructor(owner: DispatchOwner, context: QueueContext) {
    this.#owner = owner;
    this.#context = context;
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
      this.#owner.feed(custody, { kind: 'rerouted', positions });
      return undefined;
    }
    this.#owner.feed(custody, { kind: 'dispatched', positions });
    const job = this.#job(custody, positions, site.key, nowMs);
    const base = { custody, positions, siteKey: site.key, sentAtMs: nowMs, worker: '' };
    const readsPack = !custody.isStored;
    if (readsPack) custody.packReaders += 1;
    const origin = { kind: 'leased', site, job } as const;
    this.attempts.add({
      ...base,
      id: job.attemptId,
      origin,
      checkpointed: false,
      readsPack,
      finished: false,
    });
    return job;
  }

  #job(custody: Custody, positions: readonly number[], siteKey: string, nowMs: number): Job {
    this.#attemptCount += 1;
    const { number, epoch } = this.#owner;
    const { message } = custody;
    const { attempts } = message.recipients[positions[0]!]!;
    const dueAtMs = dueAtMsOf(message, positions, nowMs);
    dispatchMailSpan(custody, { siteKey, attempt: attempts + 1, nowMs, dueAtMs });
    return {
      attemptId: `${message.queueId}.${this.#attemptCount.toString(36)}.${epoch.toString(36)}`,
      queueId: message.queueId,
      partition: number,
      epoch,
      ref: message.ref,
      recipients: positions.length === message.recipients.length ? [] : [...positions],
      startByMs: nowMs + START_WITHIN_MS,
      attempts,
      acceptedAtMs: message.acceptedAtMs,
      dueAtMs,
      ...traceOfAttempt(custody, attempts, nowMs, this.#context.sameTraceWindowMs),
    };
  }

  /** The job, to be sent again: as it would be made now, under its old id. */
  renewed(attempt: Attempt, job: Job, nowMs: number): Job {
    this.attempts.renew(attempt, nowMs);
    if (attempt.readsPack && attempt.custody.isStored) this.#unread(attempt);
    job.ref = attempt.custody.message.ref;
    job.startByMs = nowMs + START_WITHIN_MS;
    return job;
  }

  /** An attempt that a worker has from an earlier owner; nothing when its recipients have their fates. */
  adopt(worker: string, running: InflightAttempt): void {
    const custody = this.#owner.find(running.queueId);
    if (custody === undefined || this.attempts.get(running.attemptId) !== undefined) return;
    const { recipients } = custody.message;
    const asked = running.recipients.length > 0 ? running.recipients : [...recipients.keys()];
    const positions = asked.filter((position) => recipients[position]?.phase === 'waiting');
    if (positions.length === 0) return;
    this.#owner.feed(custody, { kind: 'adopted', positions, siteKey: running.siteKey });
    // Whether it reads the pack is not known: it is safe to think so.
    custody.packReaders += 1;
    this.attempts.add({
      id: running.attemptId,
      custody,
      positions,
      siteKey: running.siteKey,
      origin: { kind: 'adopted' },
      sentAtMs: this.#context.now(),
      worker,
      checkpointed: running.checkpointed || this.#earlyCheckpoints?.has(running.attemptId) === true,
      readsPack: true,
      finished: false,
    });
  }

  /** All that workers had of the partition is adopted. */
  opened(): void {
    this.#earlyCheckpoints = undefined;
  }

  checkpointed(attemptIds: readonly string[]): void {
    for (const id of attemptIds) {
      const attempt = this.attempts.get(id);
      if (attempt !== undefined) attempt.checkpointed = true;
      else this.#earlyCheckpoints?.add(id);
    }
  }

  heard(batch: OutcomeBatch): void {
    const nowMs = this.#context.now();
    for (const id of batch.accepted) {
      const attempt = this.attempts.get(id);
      if (attempt !== undefined) attempt.worker = batch.worker;
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
    if (outcome.inDoubt) {
      attempt.checkpointed = true;
      this.lost(attempt);
      this.#context.acknowledge(this.#owner, worker, attempt.id);
      return;
    }
    const { custody, positions, origin } = attempt;
    const results = resultsOf(outcome, positions, this.#context.interned);
    this.#leaveSite(attempt, results !== 'returned');
    if (results === 'returned') {
      this.attempts.remove(attempt.id);
      this.#context.acknowledge(this.#owner, worker, attempt.id);
      const site = origin.kind === 'leased' ? origin.site : undefined;
      this.#owner.feed(custody, { kind: 'returned', nowMs, positions, site });
    } else {
      attempt.finished = true;
      for (const { result } of results) this.#context.counters.outcomes.count(result);
      const span = startOutcomeSpan(this.#context.tracing, { custody, outcome, results });
      this.#learn(custody, { worker, attemptId: attempt.id, span }, { kind: 'outcome', nowMs, results });
    }
    this.#unread(attempt);
  }

  /** Its mail is settled, was tried anew, or is with another attempt: only the first leaves nothing to learn. */
  #late(worker: string, outcome: Outcome, nowMs: number): void {
    const ack = { worker, attemptId: outcome.attemptId };
    const custody = this.#owner.find(outcome.queueId);
    if (custody === undefined) {
      this.acknowledge([ack]);
      return;
    }
    const { jobRecipients } = outcome;
    const asked = jobRecipients.length > 0 ? jobRecipients : [...custody.message.recipients.keys()];
    const results = resultsOf(outcome, asked, this.#context.interned);
    // In doubt it was when it was given up.
    if (results === 'returned' || outcome.inDoubt) this.acknowledge([ack]);
    else {
      const span = startOutcomeSpan(this.#context.tracing, { custody, outcome, results });
      this.#learn(custody, { ...ack, span }, { kind: 'late', nowMs, results });
    }
  }

  /** The acknowledgement waits until what was learned is stored; at once when it was nothing. */
  #learn(
    custody: Custody,
    ack: PendingAck,
    input: MessageInput & { results: readonly PositionResult[] },
  ): void {
    const before = custody.acks;
    custody.acks = [...before, ack];
    const learned = this.#owner.feed(custody, input);
    if (ack.span !== undefined) noteNextAttempt(ack.span, custody.message, input.results);
    if (learned) return;
    custody.acks = before;
    this.acknowledge([ack]);
  }

  /** The worker that had the attempt is gone, or nobody ever had it. */
  lost(attempt: Attempt): void {
    const { now, onInDoubt } = this.#context;
    const { custody, positions, checkpointed, origin } = attempt;
    this.attempts.remove(attempt.id);
    this.#leaveSite(attempt, false);
    if (checkpointed) onInDoubt(custody.message.queueId, attempt.id);
    const site = origin.kind === 'leased' ? origin.site : undefined;
    this.#owner.feed(custody, { kind: 'lost', nowMs: now(), positions, site, inDoubt: checkpointed });
    this.#unread(attempt);
  }

  /** These outcomes are stored: their attempts are over. */
  acknowledge(acks: readonly PendingAck[]): void {
    for (const { worker, attemptId, span } of acks) {
      span?.end();
      this.attempts.remove(attemptId);
      this.#context.acknowledge(this.#owner, worker, attemptId);
    }
  }

  /** The partition is given up: its attempts take no room at the sites any more. */
  drop(): void {
    for (const attempt of this.attempts.unfinished()) this.#leaveSite(attempt, false);
  }

  /** An adopted attempt never took room: another owner's window sent it. */
  #leaveSite({ origin, siteKey }: Attempt, answered: boolean): void {
    if (origin.kind === 'leased') this.#context.desk.finished(siteKey, answered);
  }

  #unread(attempt: Attempt): void {
    if (!attempt.readsPack) return;
    attempt.readsPack = false;
    attempt.custody.packReaders -= 1;
    if (attempt.custody.packReaders === 0) this.#owner.onPackUnread(attempt.custody);
  }
}
