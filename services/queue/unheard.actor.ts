// What a new owner has still to learn of earlier owners' attempts: it asks the workers until each that lives has answered, adopts what
// they have, and counts as in doubt what was left open by those that are gone. Until then nothing that was stored before is started:
// a worker that is silent may have it. A mail with an open checkpoint is not started either before it is known whom it is for.
//
// Fails: a worker that lives and never answers keeps the mails of earlier owners waiting, loudly; new ones are not concerned. So does
// an answer that tells of a mail whose recipients cannot be read: it is asked for again.
import { queueIdOfAttemptId } from '#libs/mail/attempt-id.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { type InflightAnswer, OutcomeAck, type OutcomeBatch } from '#proto/postrider/v1/job.ts';
import type { OpenCheckpoint } from './checkpoint-ledger.ts';
import type { Checkpoints } from './checkpoints.actor.ts';
import type { QueueContext } from './context.ts';
import type { Custody } from './custody.ts';
import type { Dispatch } from './dispatch.actor.ts';
import { verdictOf } from './doubt.ts';
import { askInflight, hasPassed } from './inflight.ts';

/** Attempts named in one message to a worker. */
const IDS_MAX = 1000;
/** A worker that is silent for so long is named in the log, and again after as long. */
const SAY_EVERY_MS = 10_000;
const NONE: readonly string[] = Object.freeze([]);

export interface UnheardOptions {
  owner: {
    readonly number: number;
    readonly epoch: number;
    readonly isOpen: boolean;
    find(queueId: string): Custody | undefined;
  };
  dispatch: Dispatch;
  checkpoints: Checkpoints;
  context: Pick<QueueContext, 'liveWorkers' | 'viewIsFresh' | 'now' | 'onTrouble'> & { link: Link };
  /** Attempts whose outcome is in the stored state of their mail: suffixes by queue id. */
  endedAttempts: ReadonlyMap<string, readonly string[]>;
  /** The recipients of these could not be read. */
  unread: readonly Custody[];
  /** Reads who they are for; returns those of which that cannot be read now. */
  readRecipients: (custodies: readonly Custody[]) => Promise<readonly Custody[]>;
  /** The mail of an earlier owner may be started. */
  start: (custody: Custody) => void;
}

export class Unheard {
  readonly #options: UnheardOptions;
  readonly #answered = new Set<string>();
  readonly #told = new Set<string>();
  /** Left open by earlier owners, without a verdict. */
  #open: OpenCheckpoint[];
  #waiting = new Set<Custody>();
  #unread: readonly Custody[];
  #saidAtMs: number;
  #asking = false;

  constructor(options: UnheardOptions) {
    this.#options = options;
    this.#open = [...options.checkpoints.ledger.all()];
    this.#unread = options.unread;
    this.#saidAtMs = options.context.now();
  }

  /** Workers that live and have not answered. */
  get silent(): string[] {
    return [...this.#options.context.liveWorkers()].filter((worker) => !this.#answered.has(worker));
  }

  /** True when this mail may not be started yet. */
  holds(custody: Custody): boolean {
    return this.#waiting.has(custody);
  }

  /** True while a worker that has not been heard may have it. */
  mayBeOut(custody: Custody): boolean {
    return this.#waiting.has(custody) && this.silent.length > 0;
  }

  /** Adopts what a worker has, and tells it which attempts it may go on with in our name. */
  #answer({ worker, running, unacknowledged }: InflightAnswer): void {
    const { dispatch } = this.#options;
    if (this.#answered.has(worker)) return;
    this.#answered.add(worker);
    const adopted: string[] = [];
    for (const one of running) {
      this.#told.add(one.attemptId);
      if (!dispatch.adopt(worker, one)) dispatch.refuse(worker, one);
      else if (!hasPassed(one)) adopted.push(one.attemptId);
    }
    for (const { attemptId, queueId, jobRecipients } of unacknowledged) {
      this.#told.add(attemptId);
      const over = { attemptId, queueId, recipients: jobRecipients, siteKey: '', checkpointed: false };
      dispatch.adopt(worker, over);
    }
    for (let from = 0; from < adopted.length; from += IDS_MAX) {
      this.#tell(worker, adopted.slice(from, from + IDS_MAX));
    }
  }

  #tell(worker: string, adopted: string[]): void {
    const { owner, context } = this.#options;
    const { number: partition, epoch } = owner;
    const message = { partition, epoch, attemptIds: [], cancelled: [], adopted };
    context.link.publish(subjects.outcomeAck(worker), OutcomeAck.encode(message).finish());
  }

  /**
   * The partition is open: acts on what workers answered and on what came meanwhile, and starts the mails that nobody may have, now or
   * when all have answered.
   */
  begin(
    answers: readonly InflightAnswer[],
    early: readonly OutcomeBatch[],
    custodies: Iterable<Custody>,
  ): void {
    const { dispatch } = this.#options;
    this.#waiting = new Set(custodies);
    const clear = answers.filter((answer) => this.#isClear(answer));
    for (const answer of clear) this.#answer(answer);
    for (const batch of early) dispatch.heard(batch);
    for (const answer of clear) dispatch.heard(untoldOf(answer));
    this.#judge();
  }

  /** Called once a second. */
  async sweep(): Promise<void> {
    const { context, owner } = this.#options;
    const isDone = this.#waiting.size === 0 && this.#open.length === 0;
    if (isDone || this.#asking || !context.viewIsFresh()) return;
    this.#asking = true;
    try {
      await this.#read();
      if (owner.isOpen && this.silent.length > 0) {
        this.#say();
        const answers = await askInflight(context, owner, context.liveWorkers());
        if (owner.isOpen) for (const answer of answers) this.#heardLate(answer);
      }
      // Given up meanwhile: the next owner judges, and counts.
      if (!owner.isOpen) return;
      if (context.viewIsFresh()) this.#judge();
    } finally {
      this.#asking = false;
    }
  }

  /** Those that were not read yet of the mails that wait. */
  async #read(): Promise<void> {
    const unread = [...this.#waiting].filter(({ message }) => {
      return message.recipients.length === 0 && message.phase !== 'settled';
    });
    this.#unread = unread.length === 0 ? unread : await this.#options.readRecipients(unread);
  }

  /** False when it tells of a mail of which nobody can say now which of its recipients that would be. */
  #isClear({ running, unacknowledged }: InflightAnswer): boolean {
    if (this.#unread.length === 0) return true;
    const unread = new Set(this.#unread.map(({ message }) => message.queueId));
    return ![...running, ...unacknowledged].some(({ queueId }) => unread.has(queueId));
  }

  #heardLate(answer: InflightAnswer): void {
    if (this.#answered.has(answer.worker) || !this.#isClear(answer)) return;
    this.#answer(answer);
    this.#options.dispatch.heard(untoldOf(answer));
  }

  #say(): void {
    const { context, owner } = this.#options;
    const nowMs = context.now();
    if (nowMs - this.#saidAtMs < SAY_EVERY_MS) return;
    this.#saidAtMs = nowMs;
    const silent = this.silent.join(', ');
    context.onTrouble(
      `partition ${owner.number}: ${this.#waiting.size} mails wait until these workers say what they have: ${silent}`,
    );
  }

  #judge(): void {
    const { owner, dispatch, checkpoints, context, endedAttempts } = this.#options;
    const witnesses = { told: this.#told, answered: this.#answered, live: context.liveWorkers() };
    const left: OpenCheckpoint[] = [];
    const unread = new Set<Custody>();
    for (const one of this.#open) {
      const queueId = queueIdOfAttemptId(one.attemptId);
      const custody = owner.find(queueId);
      const ended = endedAttempts.get(queueId) ?? NONE;
      const verdict = verdictOf(one, { ...witnesses, message: custody?.message, endedAttempts: ended });
      if (verdict === 'unheard' || verdict === 'unread') left.push(one);
      if (verdict === 'unread') unread.add(custody!);
      else if (verdict === 'in doubt') dispatch.doubt(one, custody!);
      else if (verdict === 'over') checkpoints.end(one.attemptId, () => {});
    }
    this.#open = left;
    if (this.silent.length > 0) return;
    const waiting = this.#waiting;
    this.#waiting = unread;
    for (const custody of waiting) if (!unread.has(custody)) this.#options.start(custody);
  }
}

/** The outcomes that no owner has acted on, as its worker tells them. */
function untoldOf({ worker, unacknowledged }: InflightAnswer): OutcomeBatch {
  return { worker, accepted: [], outcomes: unacknowledged, sites: [] };
}
