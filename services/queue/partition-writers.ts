// Puts together what writes for one partition under its owner's claim, and says what follows when something is stored.
import { spoolStream } from '#libs/nats/layout.ts';
import { Checkpoints } from './checkpoints.actor.ts';
import type { QueueContext } from './context.ts';
import type { Custody } from './custody.ts';
import type { Dispatch } from './dispatch.actor.ts';
import { dropChunks } from './large-mail.ts';
import type { Mails } from './mails.ts';
import type { MessageInput } from './message.machine.ts';
import { Remember } from './remember.actor.ts';
import { Reports } from './reports.actor.ts';
import { Salvage } from './salvage.actor.ts';
import type { SettleLog } from './settle-log.actor.ts';
import { isStillOwner } from './takeover.ts';

/** The owner, as far as its writers are concerned. */
export interface WritingOwner {
  readonly number: number;
  readonly epoch: number;
  readonly mails: Mails;
  feed(custody: Custody, input: MessageInput): boolean;
  leavesPack(custody: Custody): void;
  wake(custody: Custody): void;
  /** A worker that has not been heard may have it. */
  mayBeOut(custody: Custody): boolean;
}

export interface WritersOptions {
  owner: WritingOwner;
  dispatch: Dispatch;
  settleLog: SettleLog;
  context: QueueContext;
  /** Whether we may act for the partition: nobody else may own it by now. */
  maySay: () => boolean;
  /** Somebody else owns the partition. */
  onFenced: () => void;
}

export interface Writers {
  checkpoints: Checkpoints;
  remember: Remember;
  reports: Reports;
  salvage: Salvage;
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
    isStray: (attemptId) =>
      dispatch.attempts.get(attemptId) === undefined && dispatch.secondCopies.mayGoOn(attemptId),
    isOwner: async () => (await isStillOwner(context.direct, partition, epoch)) === 'yes',
    onFenced,
  });
  const salvage: Salvage = new Salvage({
    ...context,
    partition,
    stream: spoolStream(partition, context.layout),
    ledger: options.settleLog.ledger,
    mayBeOut: (custody) => owner.mayBeOut(custody),
    feed: (custody, input) => owner.feed(custody, input),
    onThere: (custody) => {
      if (!custody.isStored) remember.add(custody);
      owner.wake(custody);
    },
    forgetReports: (custody) => reports.forget(custody),
  });
  const remember = makeRemember(options, checkpoints, salvage);
  const reports = makeReports(options, salvage);
  return { checkpoints, remember, reports, salvage };
}

function makeRemember(
  { owner, dispatch, settleLog, context, onFenced }: WritersOptions,
  checkpoints: Checkpoints,
  salvage: Salvage,
): Remember {
  const { number: partition, epoch } = owner;
  return new Remember({
    ...context,
    partition,
    epoch,
    endingOf: (queueId) => checkpoints.endingOf(queueId),
    onStored: (custody, { acks, reportPacks }) => {
      settleLog.unpin(reportPacks);
      owner.leavesPack(custody);
      dispatch.acknowledge(acks);
    },
    onForgotten: (custody, { acks, reportPacks }) => {
      settleLog.unpin(reportPacks);
      dispatch.settled(acks);
      dropChunks(context.erasure, custody);
    },
    onMissing: (custody) => salvage.missing(custody),
    onFenced,
  });
}

function makeReports({ owner, settleLog, context, maySay }: WritersOptions, salvage: Salvage): Reports {
  return new Reports({
    ...context,
    partition: owner.number,
    expireAfterMs: context.policy.expireAfterMs,
    payloadMax: () => context.link.payloadMax,
    maySay,
    storedReport: (queueId) => owner.mails.packOfReport(queueId),
    onStored: ({ custody, report }, packs) => {
      context.counters.reports.add(packs.length, { report });
      const inPacks = packs.filter((pack) => pack > 0);
      for (const pack of inPacks) settleLog.ledger.pin(pack);
      custody.reportPacks = [...custody.reportPacks, ...inPacks];
      owner.feed(custody, { kind: 'reported', nowMs: context.now() });
    },
    onMissing: (custody) => salvage.missing(custody),
  });
}
