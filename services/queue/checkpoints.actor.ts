// What is stored of the attempts of one partition that may have sent their final dot: the owner's side. Fences earlier owners
// and workers that were given up, follows the checkpoints of all workers, and says which attempts are over.
//
// A worker sends a final dot only when its checkpoint is stored behind the newest fence of the partition, and the fence
// says neither that the attempt's owner was replaced nor that the worker was given up. So whoever has written a fence and has then
// read all checkpoints knows every dot that may be out: what is not among them never will be.
//
// Fails: nothing is given up while JetStream does not answer. A fence of a newer owner ends the ownership (`onFenced`). A stream
// that began anew (NATS lost its memory) gets our fence again, and the checkpoints that we still know.

import { epochOfAttemptId } from '#libs/mail/attempt-id.ts';
import { readMessage } from '#libs/nats/decoding.ts';
import { firstRecord, lastRecord } from '#libs/nats/direct-get.ts';
import { CHECKPOINTS_STREAM, type Layout, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { Follower, readAll, type StoredRecord } from '#libs/nats/reading.ts';
import type { RecordWriter } from '#libs/nats/records.ts';
import { purgeBelow } from '#libs/nats/trimming.ts';
import { Checkpoint, Fence } from '#proto/postrider/v1/job.ts';
import { checkpointOf, copyOf, partsToCopy } from './checkpoint-copies.ts';
import { CheckpointEndings } from './checkpoint-endings.ts';
import { CheckpointLedger, type OpenCheckpoint } from './checkpoint-ledger.ts';
import type { CheckpointRoom } from './checkpoint-room.actor.ts';
import { type Admissions, admissionsOf, afterGivingUp, fenceOf } from './fence-admissions.ts';
import { GrowingPause } from './pause-growing.ts';

const STREAM = CHECKPOINTS_STREAM;
const STORE_WAIT_MS = 5000;
const CATCH_UP_WAIT_MS = 5000;
/** Attempts that end in one record: far below the payload limit of NATS. */
const IDS_MAX = 1000;
const PAUSE = { firstMs: 100, lastMs: 2000 };
/** So many records behind an attempt that takes long are worth a copy of what is still open. */
const COPY_FROM_RECORDS = 500;
const COPY_EVERY_MS = 30_000;

export interface CheckpointsOptions {
  partition: number;
  epoch: number;
  link: Link;
  layout: Pick<Layout, 'replicas'>;
  writer: Pick<RecordWriter, 'store'>;
  now: () => number;
  checkpointRoom: Pick<CheckpointRoom, 'renewBelow'>;
  /** A worker may send the final dots of these attempts; `isFresh` when they passed while the partition was ours, and now for the first time. */
  onCheckpoint: (worker: string, attemptIds: readonly string[], isFresh: boolean) => void;
  /** False while something may still become of the attempt. */
  isOver: (attemptId: string) => boolean;
  /** True when it is over here, and an owner after this one may have let it go on. */
  isStray: (attemptId: string) => boolean;
  /** True when the claim of the partition is surely still this owner's. */
  isOwner: () => Promise<boolean>;
  onFenced: () => void;
  onTrouble: (reason: string) => void;
}

/** What dispatch needs to know and to say of checkpoints. */
export type AttemptCheckpoints = Pick<Checkpoints, 'end' | 'over' | 'missed'> & {
  readonly ledger: Pick<CheckpointLedger, 'get'>;
};

/** anew: it stands, in a stream that has nothing of what we wrote before. */
type Fencing = 'fenced' | 'anew' | 'replaced' | 'unavailable';

export class Checkpoints {
  readonly ledger = new CheckpointLedger();
  readonly #options: CheckpointsOptions;
  readonly #pause = new GrowingPause(PAUSE);
  #admissions: Admissions = admissionsOf(undefined);
  /** Sequence of our newest fence; 0 before the first. */
  #fence = 0;
  /** Whoever passes behind this passes while the partition is ours. */
  #freshAfter = 0;
  /** How far the stream had been read when it was last read from its beginning. */
  #heardTo = 0;
  #follower: Follower | undefined;
  #stopHearing: (() => void) | undefined;
  readonly #endings = new CheckpointEndings();
  #ending: Promise<void> | undefined;
  readonly #catchingUp = new Set<{ to: number; done: (isDone: boolean) => void }>();
  #missed: Promise<boolean> | undefined;
  #purgedTo = 0;
  #copiedAtMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
  }

  /** Writes our fence: no attempt of an earlier owner passes its checkpoint from now on. */
  async fence(): Promise<Fencing> {
    const { partition, epoch, writer, link } = this.#options;
    const subject = subjects.fence(partition);
    const last = await lastRecord(link, STREAM, subject);
    if (last.kind === 'unavailable') return 'unavailable';
    const sequence = last.kind === 'found' ? last.record.sequence : 0;
    const standing = last.kind === 'found' ? readMessage(Fence, last.record.data, subject) : undefined;
    if (standing !== undefined && standing.epoch > epoch) return 'replaced';
    const isAnew = this.#fence !== 0 && !this.#isOurs(sequence, standing);
    // Where all is lost, the fence of a newer owner is too: ours would let pass what that one had shut out.
    if (isAnew && !(await this.#options.isOwner())) return 'unavailable';
    if (this.#fence === 0) this.#admissions = admissionsOf(standing);
    const stored = await writer.store({
      subject,
      payload: Fence.encode(fenceOf(epoch, this.#admissions)).finish(),
      id: '',
      fence: { subject, sequence },
      giveUpAfterMs: STORE_WAIT_MS,
    });
    if (stored.kind !== 'stored') return 'unavailable';
    if (this.#fence === 0) this.#freshAfter = stored.sequence;
    else if (isAnew) this.#beginAnew(stored.sequence);
    this.#fence = stored.sequence;
    return isAnew ? 'anew' : 'fenced';
  }

  /** What is below what we have heard is not what we have heard, unless the stream had no room and lost only its oldest records. */
  #beginAnew(sequence: number): void {
    const heardTo = Math.max(this.#heardTo, this.ledger.readTo);
    this.#freshAfter = sequence > heardTo ? heardTo : 0;
    this.#heardTo = this.#freshAfter;
  }

  /** A later one than we know of is one whose acknowledgement was lost, or is on its way. */
  #isOurs(sequence: number, standing: Fence | undefined): boolean {
    if (sequence === this.#fence) return true;
    return sequence > this.#fence && standing?.epoch === this.#options.epoch;
  }

  /** Reads all that is stored; throws when JetStream does not let it. */
  async load(): Promise<void> {
    const { link, partition, layout } = this.#options;
    const subject = subjects.checkpoint(partition);
    await readAll(link, { stream: STREAM, subject }, (record) =>
      this.ledger.add(record.sequence, checkpointOf(record), () => false),
    );
    if (layout.replicas === 1 || this.ledger.size === 0) return;
    // A copy that lags behind shows what was removed, and not what was stored and removed since.
    const first = await firstRecord(link, STREAM, subject);
    if (first.kind === 'unavailable') throw new Error(`the leader of ${STREAM} does not say what there is`);
    this.ledger.removedBelow(first.kind === 'found' ? first.record.sequence : Number.POSITIVE_INFINITY);
  }

  /** Hears of every checkpoint from now on. Call after `load`. */
  async follow(): Promise<void> {
    if (this.#isStopped) return;
    const { link, partition, isOver } = this.#options;
    const fromSequence = this.ledger.readTo + 1;
    const query = { stream: STREAM, subject: subjects.checkpoint(partition), fromSequence };
    this.#follower = new Follower(link, query, (record) => this.#heard(record, isOver));
    this.#stopHearing ??= link.onReconnected(() => void this.#reconnected());
    await this.#follower.start();
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopHearing?.();
    void this.#follower?.stop();
    for (const { done } of this.#catchingUp) done(false);
    this.#catchingUp.clear();
  }

  #heard(record: StoredRecord, isOver: (attemptId: string) => boolean): void {
    if (this.#isStopped) return;
    const { onFenced, epoch, isStray } = this.#options;
    const read = checkpointOf(record);
    const { attemptIds } = read;
    // What we took for over would be removed: it is the next owner's.
    if (attemptIds.some((id) => epochOfAttemptId(id) > epoch)) {
      onFenced();
      return;
    }
    // What is open stays so, wherever it is recorded: nobody here may have it, and its worker has not been heard.
    const isOpen = (id: string) => this.ledger.get(id) !== undefined;
    const strays = attemptIds.filter((id) => isStray(id) && !isOpen(id));
    if (attemptIds.length > 0) this.#tell(read, record.sequence > this.#freshAfter);
    this.ledger.add(record.sequence, read, (id) => isOver(id) && !isOpen(id) && !strays.includes(id));
    // Only a record that is stored behind our fence ends them: the next owner must find what it has let go on.
    for (const id of strays) this.end(id, () => {});
    for (const one of this.#catchingUp) {
      if (record.sequence < one.to) continue;
      this.#catchingUp.delete(one);
      one.done(true);
    }
  }

  /** What is copied, or read again, was told before. */
  #tell({ worker, attemptIds }: Checkpoint, isFresh: boolean): void {
    const { onCheckpoint } = this.#options;
    const known = isFresh ? attemptIds.filter((id) => this.ledger.get(id) !== undefined) : attemptIds;
    if (known.length > 0) onCheckpoint(worker, known, false);
    if (known.length === attemptIds.length) return;
    const news = known.length === 0 ? attemptIds : attemptIds.filter((id) => !known.includes(id));
    onCheckpoint(worker, news, true);
  }

  /**
   * True when nobody but these workers passes a checkpoint of an attempt up to number `through` any more, and all that was passed has been
   * heard: what nobody of them has and is not in the ledger has not sent its final dot, and never will.
   */
  async giveUp(present: ReadonlySet<string>, through: number): Promise<boolean> {
    const before = this.#admissions;
    const after = afterGivingUp(before, present, through);
    if (after !== undefined) {
      this.#admissions = after;
      const fenced = await this.#fenceAgain();
      if (fenced !== 'fenced' && fenced !== 'anew') {
        this.#admissions = before;
        return false;
      }
    }
    // Last, so that all that was read before is known to be of the stream in which our fence stands.
    return (await this.#catchUp()) && (await this.verify());
  }

  /** In a stream that began anew nothing was heard yet. */
  async #fenceAgain(): Promise<Fencing> {
    const { partition, onFenced, onTrouble } = this.#options;
    const fenced = await this.fence();
    if (this.#isStopped) return fenced;
    if (fenced === 'replaced') onFenced();
    if (fenced === 'anew') {
      onTrouble(`partition ${partition}: ${STREAM} began anew; what only it knew of attempts is lost`);
      await this.#readAgain();
    }
    return fenced;
  }

  /** True when every checkpoint that is stored now has been heard. */
  async #catchUp(): Promise<boolean> {
    const { link, partition } = this.#options;
    const last = await lastRecord(link, STREAM, subjects.checkpoint(partition));
    if (last.kind === 'unavailable' || this.#isStopped) return false;
    const to = last.kind === 'found' ? last.record.sequence : 0;
    if (this.ledger.readTo >= to) return true;
    return new Promise((resolve) => {
      const waiting = { to, done: resolve };
      this.#catchingUp.add(waiting);
      setTimeout(() => {
        if (this.#catchingUp.delete(waiting)) resolve(false);
      }, CATCH_UP_WAIT_MS).unref();
    });
  }

  /** Stores that the checkpoint of the attempt means nothing any more; says so at once when it has none. */
  end(attemptId: string, onStored: () => void): void {
    if (this.ledger.get(attemptId) === undefined) onStored();
    else this.#endings.add({ attemptId, onStored });
  }

  /** Something else that is stored says that the attempt is over. */
  over(attemptId: string): void {
    this.ledger.over(attemptId);
  }

  get idle(): boolean {
    return this.ending === 0;
  }

  /** Attempts that ended and of which that is not stored yet. */
  get ending(): number {
    return this.#endings.size;
  }

  /** Those of one mail: what stands behind its queue id. */
  endingOf(queueId: string): readonly string[] {
    return this.#endings.of(queueId);
  }

  /** Stores what ended, unless a record is still under way or the last one failed a moment ago. */
  flush(): void {
    if (this.#ending !== undefined || this.#endings.waiting === 0) return;
    if (this.#isStopped || !this.#pause.isOver(this.#options.now())) return;
    this.#ending = this.#store().finally(() => {
      this.#ending = undefined;
    });
  }

  async #store(): Promise<void> {
    const endings = this.#endings.take(IDS_MAX);
    const ended = endings.map(({ attemptId }) => attemptId);
    if (!(await this.#publish({ worker: '', attemptIds: [], ended, parts: [] }))) {
      this.#endings.putBack();
      this.#pause.failed(this.#options.now());
      return;
    }
    this.#pause.succeeded();
    this.#endings.stored();
    for (const { attemptId, onStored } of endings) {
      this.ledger.over(attemptId);
      onStored();
    }
  }

  /** Behind our own fence: an owner that was replaced says nothing any more. */
  async #publish(record: Checkpoint): Promise<boolean> {
    const { partition, writer, onTrouble } = this.#options;
    const stored = await writer.store({
      subject: subjects.checkpoint(partition),
      payload: Checkpoint.encode(record).finish(),
      id: '',
      fence: { subject: subjects.fence(partition), sequence: this.#fence },
      giveUpAfterMs: STORE_WAIT_MS,
    });
    if (stored.kind === 'stored') return true;
    if (stored.kind === 'conflict') await this.verify();
    else onTrouble(`${STREAM}: ${stored.kind}; what became of attempts waits to be stored`);
    return false;
  }

  /** A worker waits for our fence, and does not find it: the stream began anew. */
  missed(): void {
    this.#missed ??= this.verify().finally(() => {
      this.#missed = undefined;
    });
  }

  /** True when our fence still stands; when the stream began anew, writes into it what must be there. */
  async verify(): Promise<boolean> {
    const { link, partition, epoch, onFenced } = this.#options;
    if (this.#isStopped || this.#fence === 0) return false;
    const subject = subjects.fence(partition);
    const last = await lastRecord(link, STREAM, subject);
    if (last.kind === 'unavailable' || this.#isStopped) return false;
    if (last.kind === 'found') {
      const { sequence, data } = last.record;
      const standing = sequence === this.#fence ? undefined : readMessage(Fence, data, subject);
      if (this.#isOurs(sequence, standing)) {
        this.#fence = sequence;
        return true;
      }
      if (standing !== undefined && standing.epoch > epoch) {
        onFenced();
        return false;
      }
    }
    await this.#fenceAgain();
    return false;
  }

  /** The end of the stream may be lost, or all of it: what we know goes into it again. */
  async #reconnected(): Promise<void> {
    // Until that is known, no number of ours says what may be removed.
    this.#forgetRecords();
    await this.verify();
    await this.#readAgain();
  }

  #forgetRecords(): void {
    this.#heardTo = Math.max(this.#heardTo, this.ledger.readTo);
    this.ledger.forgetRecords();
    this.#purgedTo = 0;
  }

  async #readAgain(): Promise<void> {
    if (this.#isStopped || this.#follower === undefined) return;
    void this.#follower.stop();
    this.#forgetRecords();
    await this.follow();
    await this.#copy([...this.ledger.all()]);
  }

  /** Writes open checkpoints again, in the name of their workers. */
  async #copy(open: Iterable<OpenCheckpoint>): Promise<void> {
    for (const part of partsToCopy(open)) {
      const open = this.#stillOpen(part);
      if (open.length > 0 && !(await this.#publish(copyOf(open)))) return;
    }
  }

  /** What ended, or is just being stored as ended, would be open again behind the record that says so. */
  #stillOpen(some: readonly OpenCheckpoint[]): OpenCheckpoint[] {
    return some.filter(({ attemptId }) => {
      return !this.#endings.has(attemptId) && this.ledger.get(attemptId) !== undefined;
    });
  }

  /** What stands among the oldest records and counts would be the first to go, should the stream become full. */
  async #renew(): Promise<void> {
    const { checkpointRoom, now } = this.#options;
    const { renewBelow } = checkpointRoom;
    if (this.#fence < renewBelow) await this.#fenceAgain();
    // Of what is dense a copy would free nothing, and what is written again in vain makes the stream fuller.
    if (this.ledger.lowWater() < renewBelow && this.ledger.isSparse) {
      await this.#copy(this.ledger.below(renewBelow));
    } else if (this.ledger.records > COPY_FROM_RECORDS && now() - this.#copiedAtMs >= COPY_EVERY_MS) {
      this.#copiedAtMs = now();
      await this.#copy([...this.ledger.all()]);
    }
  }

  /** Removes records of attempts that are over. Called about once a second. */
  async trim(): Promise<void> {
    const { link, partition } = this.#options;
    if (!this.#isStopped) await this.#renew();
    const lowWater = this.ledger.lowWater();
    if (this.#isStopped || lowWater <= Math.max(1, this.#purgedTo)) return;
    if (await purgeBelow(link, STREAM, subjects.checkpoint(partition), lowWater)) this.#purgedTo = lowWater;
  }
}
