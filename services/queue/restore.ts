// Builds the mails of a partition that was just claimed from what is stored and from what the workers say.
//
// Fails: throws when JetStream does not let it read everything; what it cannot understand stays as it is, with a word.
import { subjects } from '#libs/nats/layout.ts';
import type { InflightAnswer } from '#proto/postrider/v1/job.ts';
import type { QueueContext } from './context.ts';
import type { Dispatch } from './dispatch.actor.ts';
import { askAllInflight } from './inflight.ts';
import type { Mails } from './mails.ts';
import { readRecipients } from './recipients-read.ts';
import type { SettleLog } from './settle-log.actor.ts';
import { type Loaded, load } from './takeover.ts';

export interface Restored {
  /** What the workers said; their outcomes are still to be heard. */
  answers: InflightAnswer[];
  /** Packs of the mails with a null reverse-path, by queue id: reports that were made are among them. */
  reports: ReadonlyMap<string, number>;
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
  dispatch: Dispatch,
  settleLog: SettleLog,
  context: QueueContext,
): Promise<Restored> {
  const answers = await askAllInflight(context, owner, context.liveWorkers);
  const loaded = await load(context, owner.number);
  for (const trouble of loaded.troubles) context.onTrouble(trouble);
  const claims = { subject: subjects.owner(owner.number), sequence: owner.epoch, isSettled: false };
  for (const overruled of [claims, ...loaded.overruled]) context.erasure.add(overruled);
  const reports = addLoaded(loaded, owner.mails, settleLog, context);
  await readUnlisted(owner.mails, context);
  for (const answer of answers) adopt(dispatch, answer);
  dispatch.opened();
  for (const custody of owner.mails.all()) {
    if (custody.isStored) settleLog.add(custody, []);
  }
  return { answers, reports, nextSequence: loaded.nextSequence };
}

function addLoaded(
  loaded: Loaded,
  mails: Mails,
  settleLog: SettleLog,
  context: QueueContext,
): Map<string, number> {
  const nowMs = context.now();
  const reports = new Map<string, number>();
  for (const { sequence, newestPack } of loaded.settleRecords) settleLog.loaded(sequence, newestPack);
  for (const state of loaded.states) mails.addState(state, nowMs);
  for (const { sequence, index } of loaded.packs) {
    if (index === undefined) {
      settleLog.ledger.pin(sequence);
      continue;
    }
    const settled = loaded.settled.get(sequence) ?? new Set();
    const all = settled === 'all' ? new Set(index.entries.keys()) : settled;
    const fresh = mails.addPack(sequence, index.entries, all, nowMs);
    context.counters.started.add(fresh.length);
    for (const entry of index.entries) if (entry.nullReversePath) reports.set(entry.queueId, sequence);
  }
  return reports;
}

/** Before anything is adopted: an attempt that is for all recipients must find them. */
async function readUnlisted(mails: Mails, context: QueueContext): Promise<void> {
  for (const custody of mails.all()) {
    if (custody.message.recipients.length === 0) await readRecipients(custody, context);
  }
}

function adopt(dispatch: Dispatch, { worker, running, unacknowledged }: InflightAnswer): void {
  for (const one of running) dispatch.adopt(worker, one);
  for (const { attemptId, queueId, jobRecipients } of unacknowledged) {
    const over = { attemptId, queueId, recipients: jobRecipients, siteKey: '', checkpointed: true };
    dispatch.adopt(worker, over);
  }
}
