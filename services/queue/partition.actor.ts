// The owner of one partition: every mail of it from the pack it came in to its settlement. Feeds the message machine
// and performs what it asks for: routes, jobs, wake-ups, state, reports, settle lines.
//
// Fails: a refused fence, or a claim that is not ours any more, ends the ownership (`onGone`); nothing is written after
// that. Outcomes are acknowledged only when what they changed is stored, so the next owner hears them again.
import { listen } from '#libs/nats/decoding.ts';
import { spoolStream, subjects } from '#libs/nats/layout.ts';
import type { LinkSubscription } from '#libs/nats/link.ts';
import type { Follower, StoredRecord } from '#libs/nats/reading.ts';
import type { Job, OutcomeBatch } from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { Auditor } from './auditor.actor.ts';
import type { Checkpoints } from './checkpoints.actor.ts';
import type { QueueContext } from './context.ts';
import { type Custody, takeAcks, takeReportPacks } from './custody.ts';
import { Dispatch, type DispatchOwner } from './dispatch.actor.ts';
import { dropChunks, notePieces } from './large-mail.ts';
import { Leases } from './leases.actor.ts';
import { routeMail } from './mail-routes.ts';
import { endMailSpan } from './mail-span.ts';
import { Mails } from './mails.ts';
import { type MessageEffect, type MessageInput, receive } from './message.machine.ts';
import { OUTCOMES } from './outcome-results.ts';
import { abandonOutcomeSpans } from './outcome-span.ts';
import { makeWriters } from './partition-writers.ts';
import { readAllRecipients, readRecipients } from './recipients-read.ts';
import type { Remember } from './remember.actor.ts';
import type { Reports } from './reports.actor.ts';
import { type Restored, restore } from './restore.ts';
import { longestWaitMs } from './retry.ts';
import type { Salvage } from './salvage.actor.ts';
import { SettleLog } from './settle-log.actor.ts';
import type { Leaser, WorkItem } from './site-desk.actor.ts';
import { spoolFollower } from './spool-follower.ts';
import { claim, isStillOwner } from './takeover.ts';
import { Unheard } from './unheard.actor.ts';

const WAKE_UPS_PER_TICK = 2000;
const STAYING_PER_TICK = 1000;
const READ_AGAIN_MS = 5000;
const CLOSE_WITHIN_MS = 5000;
const CLOSE_CHECK_MS = 10;

export type PartitionPhase = 'opening' | 'open' | 'closing' | 'gone';

export class Partition implements DispatchOwner, Leaser {
  readonly number: number;
  readonly mails: Mails;
  phase: PartitionPhase = 'opening';
  epoch = 0;
  readonly #context: QueueContext;
  readonly #settleLog: SettleLog;
  readonly #dispatch: Dispatch;
  readonly #leases: Leases;
  #checkpoints!: Checkpoints;
  #unheard: Unheard | undefined;
  #auditor: Auditor | undefined;
  #salvage!: Salvage;
  #remember!: Remember;
  #reports!: Reports;
  #follower: Follower | undefined;
  #outcomes: LinkSubscription | undefined;
  /** What workers said while the partition was being loaded. */
  #early: OutcomeBatch[] = [];

  constructor(number: number, context: QueueContext) {
    this.number = number;
    this.#context = context;
    this.#settleLog = new SettleLog({
      ...context,
      partition: number,
      onUntrimmed: (reason) => {
        context.counters.untrimmed.add(1);
        context.onTrouble(reason);
      },
      onDurable: (custodies, acks) => {
        this.#dispatch.settled(acks);
        for (const custody of custodies) if (custody.message.phase === 'settled') this.#lineStored(custody);
      },
    });
    this.mails = new Mails({
      ledger: this.#settleLog.ledger,
      interned: context.interned,
      stream: this.#stream,
      clock: context.clock,
      waitMsMax: (deferrals) => longestWaitMs(deferrals, context.policy),
    });
    const checkpoints = () => this.#checkpoints;
    this.#dispatch = new Dispatch(this, context, checkpoints);
    this.#leases = new Leases({ ...context, owner: this, dispatch: this.#dispatch, checkpoints });
  }

  get #stream(): string {
    return spoolStream(this.number, this.#context.layout);
  }

  /** Else it may have another owner, who knows more: nothing is decided by time alone, and nobody is told anything. */
  get #isSure(): boolean {
    return !this.#context.desk.isFrozen(this);
  }

  get isOpen(): boolean {
    return this.phase === 'open';
  }

  find(queueId: string): Custody | undefined {
    return this.mails.get(queueId);
  }

  /** Claims and loads the partition; false when somebody else was first or JetStream does not answer. */
  async open(): Promise<boolean> {
    const claimed = await claim(this.#context, this.number, Date.now());
    if (claimed.kind !== 'claimed' || this.phase !== 'opening') return false;
    this.epoch = claimed.epoch;
    this.#subscribe();
    this.#startWriters();
    if ((await this.#checkpoints.fence()) !== 'fenced' || !this.#isNow('opening')) return false;
    const restored = await restore(this, this.#checkpoints, this.#settleLog, this.#context);
    if (!this.#isNow('opening')) return false;
    this.phase = 'open';
    this.#goOn(restored);
    await this.#checkpoints.follow();
    await this.#follower?.start();
    return true;
  }

  #goOn(restored: Restored): void {
    for (const record of restored.unreadable) this.#salvage.unreadable(record);
    const source = { ...this.#context, onMissing: this.onContentMissing };
    this.#unheard = new Unheard({
      owner: this,
      dispatch: this.#dispatch,
      checkpoints: this.#checkpoints,
      context: this.#context,
      endedAttempts: restored.endedAttempts,
      unread: restored.unread,
      readRecipients: (custodies) => readAllRecipients(custodies, source),
      start: (custody) => {
        if (this.mails.get(custody.message.queueId) === custody) this.wake(custody);
      },
    });
    this.#auditor = new Auditor({
      owner: this,
      dispatch: this.#dispatch,
      checkpoints: this.#checkpoints,
      reports: this.#reports,
      unheard: this.#unheard,
      context: this.#context,
    });
    this.#unheard.begin(restored.answers, this.#early.splice(0), this.mails.all());
    for (const custody of this.mails.all()) this.leavesPack(custody);
    this.#follower = spoolFollower({
      ...this.#context,
      owner: this,
      stream: this.#stream,
      fromSequence: restored.nextSequence,
      onPack: (record) => this.#arrived(record),
      onAnew: (reason) => this.#drop(reason),
    });
  }

  #subscribe(): void {
    const { link } = this.#context;
    this.#outcomes = listen(link, {
      subject: subjects.outcome(this.number),
      wire: OUTCOMES,
      onMessage: (batch) => {
        if (this.phase === 'opening') this.#early.push(batch);
        else this.#dispatch.heard(batch);
      },
    });
  }

  #startWriters(): void {
    const { checkpoints, remember, reports, salvage } = makeWriters({
      owner: this,
      dispatch: this.#dispatch,
      settleLog: this.#settleLog,
      context: this.#context,
      maySay: () => this.#isSure && this.#context.hasLease(),
      onFenced: () => this.#drop('another instance owns the partition'),
    });
    this.#checkpoints = checkpoints;
    this.#remember = remember;
    this.#reports = reports;
    this.#salvage = salvage;
  }

  #lineStored(custody: Custody): void {
    if (custody.isStored) return;
    this.#settleLog.unpin(takeReportPacks(custody));
    dropChunks(this.#context.erasure, custody);
  }

  /**
   * The pack is not needed once the mail has a record of its own. A worker that has not begun to read it will not find it some
   * day, and gives the job back.
   */
  leavesPack(custody: Custody): void {
    if (custody.isStored && custody.line === 'needed') this.#settleLog.add(custody, []);
  }

  #arrived(record: StoredRecord): void {
    if (this.phase !== 'open') return;
    const index = this.#salvage.indexOf(record);
    if (index === undefined) return;
    const { sequence, storedAtMs } = record;
    const pack = { sequence, entries: index.entries, settled: new Set<number>(), storedAtMs, isFresh: true };
    const fresh = this.mails.addPack(pack, this.#context.now());
    this.#context.counters.started.add(fresh.length);
    for (const custody of fresh) this.wake(custody);
  }

  /** Until when a site would not be tried, as its worker said. */
  readonly #refusedUntilMs = (siteKey: string): number =>
    this.#context.desk.find(siteKey)?.suspendedUntilMs ?? 0;

  mayBeOut(custody: Custody): boolean {
    return this.#unheard?.mayBeOut(custody) === true;
  }

  /** Looks at a mail that is new, due, or was taken over; at one that a worker may have when that has been heard. */
  wake(custody: Custody): void {
    if (this.#unheard?.holds(custody) === true) return;
    const isListed = custody.message.recipients.length > 0;
    if (isListed)
      this.feed(custody, { kind: 'due', nowMs: this.#context.now(), refusedUntilMs: this.#refusedUntilMs });
    else void this.#wakeUnlisted(custody);
  }

  /** The index had no room for the recipients: the envelope has them. */
  async #wakeUnlisted(custody: Custody): Promise<void> {
    const read = await readRecipients(custody, this.#context);
    if (read === 'read') this.wake(custody);
    else if (read === 'missing') this.onContentMissing(custody);
    else this.mails.wakeAt(custody, this.#context.now() + READ_AGAIN_MS);
  }

  /** Somebody did not find what the mail refers to. */
  readonly onContentMissing = (custody: Custody): void => this.#salvage.missing(custody);

  /** Feeds the machine and performs what it asks for; false when the input changed nothing. */
  feed(custody: Custody, input: MessageInput): boolean {
    if (this.phase === 'gone') return false;
    // A worker that has not answered may have it, whatever an operator wants; and while owners change nobody tries it.
    if (input.kind === 'flushed' && !(this.isOpen && this.#unheard?.holds(custody) === false)) return false;
    const effects = receive(custody.message, input, this.#context.policy);
    for (const effect of effects) this.#perform(custody, effect);
    return effects.length > 0;
  }

  #perform(custody: Custody, effect: MessageEffect): void {
    const { desk } = this.#context;
    switch (effect.kind) {
      case 'resolve':
        this.#resolve(custody, effect.domains);
        break;
      case 'enqueue':
        desk.enqueue(effect.site, this.#workOf(custody, effect.positions));
        break;
      case 'requeue':
        desk.requeue(effect.site, this.#workOf(custody, effect.positions));
        break;
      case 'remember':
        this.#remember.add(custody);
        break;
      case 'leavePack':
        endMailSpan(custody, 'waits');
        if (!custody.isStored) this.#remember.add(custody);
        break;
      case 'wakeAt':
        this.mails.wakeAt(custody, effect.atMs);
        break;
      case 'report':
        this.#reports.add({ custody, report: effect.report, positions: effect.positions });
        break;
      case 'settle':
        this.#settle(custody);
        break;
    }
  }

  #workOf(custody: Custody, positions: number[]): WorkItem {
    return { leaser: this, custody, positions, readyAtMs: this.#context.now() };
  }

  #resolve(custody: Custody, domains: string[]): void {
    routeMail(custody, domains, this.#context, (routes) => {
      this.feed(custody, { kind: 'routed', nowMs: this.#context.now(), routes });
    });
  }

  /** Makes the job of waiting work, unless the mail moved on meanwhile. */
  lease(item: WorkItem, site: Site, nowMs: number): Job | undefined {
    return this.#dispatch.lease(item, site, nowMs);
  }

  #settle(custody: Custody): void {
    this.mails.remove(custody);
    endMailSpan(custody, 'settled');
    notePieces(custody, { ...this.#context, ledger: this.#settleLog.ledger });
    // A state overrules the line, also one that is just being stored: only when it is gone the mail is over for every next owner.
    const hasState = this.#remember.mayHaveState(custody);
    this.#settleLog.add(custody, hasState ? [] : takeAcks(custody));
    if (hasState) this.#remember.add(custody);
  }

  /** Called ten times a second. */
  tick(nowMs: number): void {
    if (this.phase !== 'open') return;
    if (this.#isSure) this.#look(nowMs);
    this.#flush();
  }

  #look(nowMs: number): void {
    for (const custody of this.mails.takeDue(nowMs, WAKE_UPS_PER_TICK)) this.wake(custody);
    for (const custody of this.mails.takeStaying(nowMs, STAYING_PER_TICK)) {
      this.feed(custody, { kind: 'stays', nowMs });
    }
    this.#auditor?.tick(nowMs);
  }

  #flush(): void {
    this.#checkpoints.flush();
    for (const writer of [this.#settleLog, this.#remember, this.#reports]) {
      writer.flush().catch((error: Error) => this.#drop(`a store failed: ${error.message}`));
    }
  }

  /** Called once a second. */
  async sweep(nowMs: number): Promise<void> {
    if (this.phase !== 'open') return;
    await this.#unheard?.sweep();
    await this.#leases.sweep(nowMs);
    await this.#checkpoints.trim();
    await Promise.all([this.#settleLog.trim(nowMs), this.#salvage.sweep(nowMs)]);
  }

  /** Whether it is still ours; gives it up when its claim is not ours any more. */
  async verify(): Promise<'yes' | 'no' | 'unknown'> {
    if (this.phase !== 'open') return 'unknown';
    const owner = await isStillOwner(this.#context.direct, this.number, this.epoch);
    if (owner === 'no') this.#drop('another instance owns the partition');
    else void this.#checkpoints.verify();
    return owner;
  }

  /** Stores what is known and gives the partition up. */
  async close(): Promise<void> {
    if (this.phase !== 'open') return this.#drop(undefined);
    this.phase = 'closing';
    await this.#follower?.stop();
    const deadlineMs = this.#context.now() + CLOSE_WITHIN_MS;
    const writers = [this.#settleLog, this.#remember, this.#reports, this.#checkpoints];
    const isBusy = () => writers.some((writer) => !writer.idle);
    while (isBusy() && this.#context.now() < deadlineMs && !this.#isNow('gone')) {
      this.#flush();
      await new Promise((done) => setTimeout(done, CLOSE_CHECK_MS));
    }
    this.#drop(undefined);
  }

  /** Gives it up as it is; what is not stored is found again by the next owner. */
  abandon(): void {
    this.#drop(undefined);
  }

  /** As a call: it may have changed while we waited. */
  #isNow(phase: PartitionPhase): boolean {
    return this.phase === phase;
  }

  #drop(reason: string | undefined): void {
    if (this.phase === 'gone') return;
    this.phase = 'gone';
    this.#outcomes?.unsubscribe();
    void this.#follower?.stop();
    this.#checkpoints?.stop();
    this.#dispatch.drop();
    this.#context.desk.withdraw(this);
    for (const custody of this.mails.all()) {
      endMailSpan(custody, 'given up');
      abandonOutcomeSpans(custody);
    }
    this.#context.onGone(this.number, reason);
  }

  /** For gauges and the operator's list. */
  counts() {
    return {
      mails: this.mails.size,
      attempts: this.#dispatch.attempts.size,
      openPacks: this.#settleLog.ledger.openPacks,
      remembering: this.phase === 'opening' ? 0 : this.#remember.waiting,
      ending: this.#checkpoints?.ending ?? 0,
      reports: this.phase === 'opening' ? 0 : this.#reports.waiting,
    };
  }
}
