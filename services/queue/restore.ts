// Builds the mails of a partition that was just claimed from what is stored and from what the workers say.
//
// The order matters. Our fence is written before the workers are asked: no attempt that they do not tell of sends its final dot
// afterwards. They are asked before the settle log is read: an outcome that the old owner acknowledged before a worker answered is
// stored already, and one that it acknowledged later is in the worker's answer.
//
// Fails: throws when JetStream does not let it read everything; what it cannot understand stays as it is, with a word.
import { subjects } from '#libs/nats/layout.ts';
import type { InflightAnswer } from '#proto/postrider/v1/job.ts';
import type { Checkpoints } from './checkpoints.actor.ts';
import type { QueueContext } from './context.ts';
import type { Custody } from './custody.ts';
import { askInflight } from './inflight.ts';
import type { Mails } from './mails.ts';
import type { Unreadable } from './quarantine.actor.ts';
import { readAllRecipients } from './recipients-read.ts';
import type { SettleLog } from './settle-log.actor.ts';
import { type Loaded, load } from './takeover.ts';

export interface Restored {
  /** What the workers said, to be acted on when the partition is open. */
  answers: InflightAnswer[];
  /** Attempts whose outcome is in the stored state of their mail: suffixes by queue id. */
  endedAttempts: ReadonlyMap<string, readonly string[]>;
  /** Nobody can say now whom these are for. */
  unread: readonly Custody[];
  /** To be put aside. */
  unreadable: readonly Unreadable[];
  /** Where the partition's packs go on. */
  nextSequence: number;
}

export interface RestoreOwner {
  readonly number: number;
  readonly epoch: number;
  readonly mails: Mails;
}

export async function restore(
  owner: RestoreOwner,
  checkpoints: Pick<Checkpoints, 'load'>,
  settleLog: SettleLog,
  context: QueueContext,
): Promise<Restored> {
  const answers = await askInflight(context, owner, context.liveWorkers());
  const loaded = await load(context, owner.number);
  await checkpoints.load();
  const claims = { subject: subjects.owner(owner.number), sequence: owner.epoch, isSettled: false };
  for (const overruled of [claims, ...loaded.overruled]) context.erasure.add(overruled);
  addLoaded(loaded, owner.mails, settleLog, context);
  // Before anything is adopted: an attempt that is for all recipients must find them.
  const unlisted = [...owner.mails.all()].filter(({ message }) => message.recipients.length === 0);
  const unread = await readAllRecipients(unlisted, context);
  const endedAttempts = new Map<string, readonly string[]>();
  for (const { queueId, endedAttempts: ended } of loaded.states) {
    if (ended.length > 0) endedAttempts.set(queueId, ended);
  }
  const unreadable = loaded.unreadable.filter(
    ({ stream, sequence }) => stream === 'SETTLE' || stream === 'QUEUE' || !isAside(loaded, sequence),
  );
  return { answers, endedAttempts, unread, unreadable, nextSequence: loaded.nextSequence };
}

/** A pack that cannot be read and was put aside has a line as a whole. */
function isAside(loaded: Loaded, sequence: number): boolean {
  return loaded.settled.get(sequence) === 'all';
}

function addLoaded(loaded: Loaded, mails: Mails, settleLog: SettleLog, context: QueueContext): void {
  const nowMs = context.now();
  for (const { sequence, newestPack } of loaded.settleRecords) settleLog.loaded(sequence, newestPack);
  for (const state of loaded.states) mails.addState(state, nowMs);
  for (const { sequence, index, storedAtMs } of loaded.packs) {
    if (index === undefined) {
      settleLog.ledger.add(sequence, 1, isAside(loaded, sequence) ? [0] : []);
      continue;
    }
    const settled = loaded.settled.get(sequence) ?? new Set();
    const all = settled === 'all' ? new Set(index.entries.keys()) : settled;
    const pack = { sequence, entries: index.entries, settled: all, storedAtMs, isFresh: false };
    const fresh = mails.addPack(pack, nowMs);
    context.counters.started.add(fresh.length);
  }
}
