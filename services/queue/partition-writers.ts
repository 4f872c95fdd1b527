// Puts together what writes for one partition under its owner's claim, and says what follows when something is stored.
import { Checkpoints } from './checkpoints.actor.ts';
import type { QueueContext } from './context.ts';
import type { Custody } from './custody.ts';
import type { Dispatch } from './dispatch.actor.ts';
import { dropChunks } from './large-mail.ts';
import type { Mails } from './mails.ts';
import type { MessageInput } from './message.machine.ts';
import { Remember } from './remember.actor.ts';
import { Reports } from './reports.actor.ts';
import type { SettleLog } from './settle-log.actor.ts';

/** The owner, as far as its writers are concerned. */
export interface WritingOwner {
  readonly number: number;
  readonly epoch: number;
  readonly mails: Mails;
  feed(custody: Custody, input: MessageInput): boolean;
  onPackUnread(custody: Custody): void;
}

export interface WritersOptions {
  owner: WritingOwner;
  dispatch: Dispatch;
  settleLog: SettleLog;
  context: QueueContext;
  /** The pack of a report that was stored when the partition was loaded, by queue id. */
  knownReport: (queueId: string) => number | undefined;
  /** Somebody else owns the partition. */
  onFenced: () => void;
}

export interface Writers {
  checkpoints: Checkpoints;
  remember: Remember;
  reports: Reports;
}

export function makeWriters(options: WritersOptions): Writers {
  const { owner, dispatch, context, onFenced } = options;
  const { number: partition, epoch } = owner;
  const checkpoints = new Checkpoints({
    ...context,
    partition,
    epoch,
    onCheckpoint: (worker, ids, isFresh) => dispatch.checkpointed(worker, ids, isFresh),
    isOver: (attemptId) => dispatch.attempts.get(attemptId) === undefined,
    onFenced,
  });
  return { checkpoints, remember: makeRemember(options), reports: makeReports(options) };
}

function makeRemember({ owner, dispatch, settleLog, context, onFenced }: WritersOptions): Remember {
  const { number: partition, epoch } = owner;
  return new Remember({
    ...context,
    partition,
    epoch,
    onStored: (custody, { acks, reportPacks }) => {
      settleLog.unpin(reportPacks);
      owner.onPackUnread(custody);
      dispatch.acknowledge(acks);
    },
    onForgotten: (custody, { acks, reportPacks }) => {
      settleLog.unpin(reportPacks);
      dispatch.settled(acks);
      dropChunks(context.erasure, custody);
    },
    onMissing: ({ message }) =>
      context.onTrouble(`the content of ${message.queueId} is gone: it cannot leave its pack`),
    onFenced,
  });
}

function makeReports({ owner, settleLog, context, knownReport }: WritersOptions): Reports {
  return new Reports({
    ...context,
    partition: owner.number,
    expireAfterMs: context.policy.expireAfterMs,
    payloadMax: () => context.link.payloadMax,
    storedReport: (queueId) => owner.mails.get(queueId)?.packSequence ?? knownReport(queueId),
    onStored: ({ custody, report }, packs) => {
      context.counters.reports.add(packs.length, { report });
      const inPacks = packs.filter((pack) => pack > 0);
      for (const pack of inPacks) settleLog.ledger.pin(pack);
      custody.reportPacks = [...custody.reportPacks, ...inPacks];
      owner.feed(custody, { kind: 'reported', nowMs: context.now() });
    },
  });
}
