// The owner of one partition: every mail of it from the pack it came in to its settlement. Feeds the message machine
// and performs what it asks for: routes, jobs, wake-ups, state, reports, settle lines.
//
// Fails: a refused fence, or anything unknown about the claim, ends the ownership (`onGone`); nothing is written after
// that. Outcomes are acknowledged only when what they changed is stored, so the next owner hears them again.
import { subjects } from '#libs/nats/layout.ts';
import type { LinkSubscription } from '#libs/nats/link.ts';
import { Follower, type StoredRecord } from '#libs/nats/reading.ts';
import { decodeIndex } from '#libs/pack/pack.ts';
import {
  Checkpoint,
  type InflightAnswer,
  type Job,
  type Outcome,
  OutcomeBatch,
} from '#proto/postrider/v1/job.ts';
import type { PackEntry } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { type Attempt, AttemptLedger } from './attempts.ts';
import type { QueueContext } from './context.ts';
import { type Custody, newCustody, type PendingAck } from './custody.ts';
import { FrameReader } from './frames.ts';
import { chunksOf, dropChunks } from './large-mail.ts';
import { Leases } from './leases.actor.ts';
import { type MessageEffect, type MessageInput, type RouteResult, receive } from './message.machine.ts';
import {
  domainOf,
  domainsOf,
  type Message,
  messageFromPack,
  messageFromState,
  recipientsOf,
} from './message.ts';
import { resultsOf } from './outcome-results.ts';
import { Remember } from './remember.actor.ts';
import { Reports } from './reports.actor.ts';
import { SettleLog } from './settle-log.actor.ts';
import type { WorkItem } from './site-desk.actor.ts';
import { askInflight, claim, type Loaded, load } from './takeover.ts';
import { TimerHeap } from './timers.ts';

/** Work that waited for its site longer than this is routed again before it is sent. */
const REROUTE_AFTER_MS = 600_000;
/** A mail that is still in its pack after this moves to a record of its own, so that the pack can go. */
const PACK_STAY_MS = 10_000;
/** A worker that cannot start a job within this gives it back. */
const START_WITHIN_MS = 300_000;
const WAKE_UPS_PER_TICK = 2000;

export type PartitionPhase = 'opening' | 'open' | 'closing' | 'gone';

export class Partition {
  readonly number: number;
  readonly custodies = new Map<string, Custody>();
  readonly attempts = new AttemptLedger();
  phase: PartitionPhase = 'opening';
  epoch = 0;
  readonly #context: QueueContext;
  readonly #settleLog: SettleLog;
  readonly #timers = new TimerHeap<Custody>();
  readonly #leases: Leases;
  #remember: Remember | undefined;
  #reports: Reports | undefined;
  #follower: Follower | undefined;
  #subscriptions: LinkSubscription[] = [];
  /** What workers said while the partition was being loaded. */
  #early: OutcomeBatch[] = [];
  #attemptCount = 0;
  #knownReports = new Set<string>();
  readonly #young: Custody[] = [];

  constructor(number: number, context: QueueContext) {
    this.number = number;
    this.#context = context;
    const { link, layout, writer } = context;
    this.#settleLog = new SettleLog({
      partition: number,
      link,
      layout,
      writer,
      onDurable: (custodies, acks) => this.#settled(custodies, acks),
    });
    this.#leases = new Leases(this, context);
  }

  /** Claims and loads the partition; false when somebody else was first or JetStream does not answer. */
  async open(): Promise<boolean> {
    const { now, link, liveWorkers } = this.#context;
    const claimed = await claim(this.#context, this.number, now());
    if (claimed.kind !== 'claimed') return false;
    this.epoch = claimed.epoch;
    this.#subscribe();
    const workers = liveWorkers();
    const answers = await askInflight(link, this.number, this.epoch, workers.size);
    const loaded = await load(this.#context, this.number);
    if (this.phase !== 'opening') return false;
    this.#startWriters();
    this.#restore(loaded, answers);
    this.phase = 'open';
    for (const batch of this.#early.splice(0)) this.#heard(batch);
    for (const answer of answers) {
      this.#heard({ worker: answer.worker, accepted: [], outcomes: answer.unacknowledged, sites: [] });
    }
    this.#wakeAll();
    const { stream, subject } = this.#spool();
    const query = { stream, subject, headersOnly: true, fromSequence: loaded.nextSequence };
    this.#follower = new Follower(link, query, (record) => this.#arrived(record));
    await this.#follower.start();
    return true;
  }

  #spool() {
    const { layout } = this.#context;
    return { stream: this.#context.spoolStream(this.number, layout), subject: subjects.spool(this.number) };
  }

  #subscribe(): void {
    const { link } = this.#context;
    this.#subscriptions = [
      link.subscribe(subjects.outcome(this.number), (message) => {
        const batch = OutcomeBatch.decode(message.data);
        if (this.phase === 'opening') this.#early.push(batch);
        else this.#heard(batch);
      }),
      link.subscribe(subjects.checkpoint(this.number), (message) => {
        for (const id of Checkpoint.decode(message.data).attemptIds) {
          const attempt = this.attempts.get(id);
          if (attempt !== undefined) attempt.checkpointed = true;
        }
      }),
    ];
  }

  #startWriters(): void {
    const { context, number, epoch } = { context: this.#context, number: this.number, epoch: this.epoch };
    this.#remember = new Remember({
      ...context,
      partition: number,
      epoch,
      onStored: (custody, acks) => {
        this.#settleLog.add(custody, []);
        this.#acknowledge(acks);
      },
      onForgotten: (custody, acks) => {
        this.#acknowledge(acks);
        dropChunks(context.link, custody);
      },
      onFenced: () => this.#drop('another instance owns the partition'),
      onTrouble: context.onTrouble,
    });
    this.#reports = new Reports({
      ...context,
      partition: number,
      expireAfterMs: context.policy.expireAfterMs,
      isKnown: (queueId) => this.custodies.has(queueId) || this.#knownReports.has(queueId),
      onStored: ({ custody, report }) => {
        context.counters.reports.add(1, { report });
        this.feed(custody, { kind: 'reported', nowMs: context.now() });
      },
    });
  }

  /** Builds every mail of the partition from what is stored and from what the workers said. */
  #restore(loaded: Loaded, answers: InflightAnswer[]): void {
    const nowMs = this.#context.now();
    for (const { sequence, newestPack } of loaded.settleRecords) this.#settleLog.loaded(sequence, newestPack);
    for (const state of loaded.states) {
      const custody = newCustody(messageFromState(state), 0, 0, nowMs);
      custody.stored = true;
      custody.lineGiven = true;
      this.custodies.set(state.queueId, custody);
    }
    for (const { sequence, index } of loaded.packs) {
      const settled = loaded.settled.get(sequence);
      const whole = settled !== undefined && settled.size === 0;
      if (!whole) this.#addPack(sequence, index.entries, settled ?? new Set());
      for (const entry of index.entries) if (entry.nullReversePath) this.#knownReports.add(entry.queueId);
    }
    for (const answer of answers) {
      for (const running of answer.running) this.#adopt(answer.worker, running, running.recipients);
      for (const outcome of answer.unacknowledged) {
        const lost = { ...outcome, siteKey: '', checkpointed: true };
        this.#adopt(answer.worker, lost, outcome.jobRecipients);
      }
    }
  }

  #adopt(
    worker: string,
    running: { attemptId: string; queueId: string; siteKey: string; checkpointed: boolean },
    recipients: number[],
  ): void {
    const custody = this.custodies.get(running.queueId);
    if (custody === undefined || this.attempts.get(running.attemptId) !== undefined) return;
    const { message } = custody;
    const positions = recipients.length > 0 ? recipients : message.recipients.map((_, position) => position);
    receive(message, { kind: 'adopted', positions, siteKey: running.siteKey }, this.#context.policy);
    this.attempts.add({
      id: running.attemptId,
      custody,
      positions,
      siteKey: running.siteKey,
      site: undefined,
      job: undefined,
      sentAtMs: this.#context.now(),
      worker,
      checkpointed: running.checkpointed,
      finished: false,
    });
  }

  #arrived(record: StoredRecord): void {
    const header = record.header('Postrider-Index');
    if (header === undefined || this.phase === 'gone') return;
    for (const custody of this.#addPack(record.sequence, decodeIndex(header).entries, new Set()))
      this.#wake(custody);
  }

  /** Takes over the unsettled mails of a pack; returns those that are to be started. */
  #addPack(sequence: number, entries: PackEntry[], settled: Set<number>): Custody[] {
    const nowMs = this.#context.now();
    const stream = this.#spool().stream;
    this.#settleLog.ledger.add(sequence, entries.length, settled.size);
    const fresh: Custody[] = [];
    entries.forEach((entry, position) => {
      if (settled.has(position)) return;
      const known = this.custodies.get(entry.queueId);
      if (known !== undefined) {
        // It has a record of its own already: only the line in its pack was missing.
        known.packSequence = sequence;
        this.#settleLog.ledger.settle(sequence, position);
        return;
      }
      const ref = { stream, sequence, offset: entry.offset, length: entry.length };
      const custody = newCustody(messageFromPack(entry, ref, domainsOf(entry)), sequence, position, nowMs);
      this.custodies.set(entry.queueId, custody);
      this.#young.push(custody);
      fresh.push(custody);
    });
    this.#context.counters.started.add(fresh.length);
    return fresh;
  }

  #wakeAll(): void {
    for (const custody of this.custodies.values()) {
      if (custody.message.phase === 'resting') this.#wake(custody);
    }
  }

  #wake(custody: Custody): void {
    if (custody.message.recipients.length === 0) return void this.#readRecipients(custody);
    this.feed(custody, { kind: 'due', nowMs: this.#context.now() });
  }

  /** The index did not list the domains: the envelope does. */
  async #readRecipients(custody: Custody): Promise<void> {
    const read = await new FrameReader(this.#context.direct).read(custody.message.ref);
    if (read.kind !== 'found') {
      this.#context.onTrouble(`cannot read the envelope of ${custody.message.queueId}: ${read.kind}`);
      this.#timers.add(this.#context.now() + 5000, custody);
      return;
    }
    custody.message.recipients = recipientsOf(read.frame.envelope.forwardPaths.map(domainOf));
    this.#wake(custody);
  }

  /** Feeds the machine and performs what it asks for. */
  feed(custody: Custody, input: MessageInput): void {
    if (this.phase === 'gone') return;
    for (const effect of receive(custody.message, input, this.#context.policy))
      this.#perform(custody, effect);
  }

  #perform(custody: Custody, effect: MessageEffect): void {
    switch (effect.kind) {
      case 'resolve':
        this.#resolve(custody, effect.domains);
        return;
      case 'enqueue':
        this.#enqueue(custody, effect.site, effect.positions);
        return;
      case 'remember':
        if (!custody.dirty) this.#remember!.add(custody);
        return;
      case 'wakeAt':
        this.#timers.add(effect.atMs, custody);
        return;
      case 'report':
        this.#reports!.add({ custody, report: effect.report, positions: effect.positions });
        return;
      case 'settle':
        this.#settle(custody);
    }
  }

  #resolve(custody: Custody, domains: string[]): void {
    const { routes, tracing, now } = this.#context;
    const { message } = custody;
    custody.span?.end();
    custody.span = tracing.start('queue mail', message.trace, {
      kind: 'consumer',
      attributes: { 'mail.queue_id': message.queueId },
    });
    const found = new Map<string, RouteResult>();
    const answered = (domain: string, result: RouteResult): void => {
      found.set(domain, result);
      if (found.size === domains.length) this.feed(custody, { kind: 'routed', nowMs: now(), routes: found });
    };
    for (const domain of domains) {
      const known = routes.lookUp(domain, custody.span?.context, answered);
      if (known !== undefined) answered(domain, known);
    }
  }

  #enqueue(custody: Custody, site: Site, positions: number[]): void {
    const item: WorkItem = { leaser: this, custody, positions, readyAtMs: this.#context.now() };
    this.#context.desk.enqueue(site, item);
  }

  /** Makes the job of waiting work, unless the mail moved on meanwhile. */
  lease(item: WorkItem, site: Site, nowMs: number): Job | undefined {
    if (this.phase !== 'open') return undefined;
    const { custody } = item;
    const { message } = custody;
    const positions = item.positions.filter((position) => {
      const recipient = message.recipients[position];
      return recipient?.phase === 'ready' && recipient.siteKey === site.key;
    });
    if (positions.length === 0) return undefined;
    if (item.readyAtMs + REROUTE_AFTER_MS < nowMs) {
      this.feed(custody, { kind: 'rerouted', positions });
      return undefined;
    }
    this.feed(custody, { kind: 'dispatched', positions });
    const job = this.#job(message, custody, positions, nowMs);
    const base = { custody, positions, site, siteKey: site.key, job, sentAtMs: nowMs };
    this.attempts.add({ ...base, id: job.attemptId, worker: '', checkpointed: false, finished: false });
    return job;
  }

  #job(message: Message, custody: Custody, positions: number[], nowMs: number): Job {
    this.#attemptCount += 1;
    const { attempts } = message.recipients[positions[0]!]!;
    const late = nowMs - message.acceptedAtMs > this.#context.sameTraceWindowMs;
    const job: Job = {
      attemptId: `${message.queueId}.${this.#attemptCount.toString(36)}.${this.epoch.toString(36)}`,
      queueId: message.queueId,
      partition: this.number,
      epoch: this.epoch,
      ref: message.ref,
      recipients: positions.length === message.recipients.length ? [] : positions,
      startByMs: nowMs + START_WITHIN_MS,
      trace: late ? message.trace : (custody.span?.context ?? message.trace),
      attempts,
      ownTrace: late,
    };
    custody.span?.set({ 'mail.attempt': attempts + 1, 'mail.wait_ms': nowMs - message.acceptedAtMs });
    custody.span?.end();
    custody.span = undefined;
    return job;
  }

  #heard(batch: OutcomeBatch): void {
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
    if (attempt === undefined) {
      // Its mail is settled or was tried anew: nothing depends on it any more.
      this.#context.acknowledge(this, worker, outcome.attemptId);
      return;
    }
    if (attempt.finished) return;
    const results = resultsOf(outcome, attempt.positions);
    this.#context.desk.finished(attempt.siteKey, results !== 'returned');
    if (results === 'returned') {
      this.attempts.remove(attempt.id);
      this.#context.acknowledge(this, worker, attempt.id);
      this.feed(attempt.custody, { kind: 'returned', positions: attempt.positions, site: attempt.site });
      return;
    }
    attempt.finished = true;
    attempt.custody.acks.push({ worker, attemptId: attempt.id });
    for (const { result } of results) this.#context.counters.outcomes.add(1, { outcome: result });
    this.feed(attempt.custody, { kind: 'outcome', nowMs, results });
  }

  /** The worker that had the attempt is gone. */
  lost(attempt: Attempt): void {
    const { now, desk, onInDoubt } = this.#context;
    this.attempts.remove(attempt.id);
    desk.finished(attempt.siteKey, false);
    if (attempt.checkpointed) onInDoubt(attempt.custody.message.queueId, attempt.id);
    const { positions, site, checkpointed } = attempt;
    this.feed(attempt.custody, { kind: 'lost', nowMs: now(), positions, site, inDoubt: checkpointed });
  }

  #settle(custody: Custody): void {
    const { message } = custody;
    this.custodies.delete(message.queueId);
    custody.span?.end();
    if (message.size > message.ref.length) custody.chunks = chunksOf(this.#context.direct, message.ref);
    if (!custody.stored) {
      const { acks } = custody;
      custody.acks = [];
      this.#settleLog.add(custody, acks);
    } else if (!custody.dirty) this.#remember!.add(custody);
  }

  #settled(custodies: Custody[], acks: PendingAck[]): void {
    this.#acknowledge(acks);
    for (const custody of custodies) if (!custody.stored) dropChunks(this.#context.link, custody);
  }

  #acknowledge(acks: PendingAck[]): void {
    for (const { worker, attemptId } of acks) {
      this.attempts.remove(attemptId);
      this.#context.acknowledge(this, worker, attemptId);
    }
  }

  /** Called ten times a second. */
  tick(nowMs: number): void {
    if (this.phase !== 'open') return;
    for (const custody of this.#timers.takeDue(nowMs, WAKE_UPS_PER_TICK)) {
      if (this.custodies.get(custody.message.queueId) === custody) this.#wake(custody);
    }
    this.#moveOld(nowMs);
    void this.#settleLog.flush();
    void this.#remember!.flush();
    void this.#reports!.flush();
  }

  /** Called once a second. */
  async sweep(nowMs: number): Promise<void> {
    if (this.phase !== 'open') return;
    await this.#leases.sweep(nowMs);
    await this.#settleLog.trim(nowMs);
  }

  /** A mail that waits (for a site, the resolver, a slow attempt) leaves its pack, and gets its expiry timer. */
  #moveOld(nowMs: number): void {
    let done = 0;
    for (const custody of this.#young) {
      if (custody.startedAtMs + PACK_STAY_MS > nowMs) break;
      done += 1;
      const { message } = custody;
      if (message.phase !== 'active' || custody.stored || custody.dirty) continue;
      this.#remember!.add(custody);
      const { expireAfterMs, delayWarningAfterMs } = this.#context.policy;
      this.#timers.add(message.acceptedAtMs + Math.min(expireAfterMs, delayWarningAfterMs), custody);
    }
    if (done > 0) this.#young.splice(0, done);
  }

  /** Stores what is known and gives the partition up. */
  async close(): Promise<void> {
    if (this.phase !== 'open') return this.#drop('closing');
    this.phase = 'closing';
    await this.#follower?.stop();
    const deadlineMs = this.#context.now() + 5000;
    const busy = () => !this.#settleLog.idle || !this.#remember!.idle || !this.#reports!.idle;
    while (busy() && this.#context.now() < deadlineMs && this.#stillOurs()) {
      await Promise.all([this.#settleLog.flush(), this.#remember!.flush(), this.#reports!.flush()]);
    }
    this.#drop('closing');
  }

  #stillOurs(): boolean {
    return this.phase !== 'gone';
  }

  #drop(reason: string): void {
    if (this.phase === 'gone') return;
    this.phase = 'gone';
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    void this.#follower?.stop();
    this.#context.onGone(this, reason);
  }

  /** For gauges and the operator's list. */
  counts(): { mails: number; attempts: number; openPacks: number; remembering: number } {
    const remembering = this.#remember?.waiting ?? 0;
    return {
      mails: this.custodies.size,
      attempts: this.attempts.size,
      openPacks: this.#settleLog.ledger.openPacks,
      remembering,
    };
  }
}
