// Plays the owner of a partition towards delivery workers: stores mails in packs, sends jobs, hears what workers say of
// them, and acknowledges only when a test wants it.

import { callApi } from '#libs/nats/api.ts';
import { CHECKPOINTS_STREAM, type Layout, spoolStream, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { shardOf } from '#libs/nats/placement.ts';
import { readAll } from '#libs/nats/reading.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { encodeFrame, encodeIndex } from '#libs/pack/pack.ts';
import {
  Checkpoint,
  type Exclusion,
  Fence,
  InflightAnswer,
  InflightRequest,
  type Job,
  JobBatch,
  type Outcome,
  OutcomeAck,
  OutcomeBatch,
  type SiteStatus,
} from '#proto/postrider/v1/job.ts';
import { BodyType, type SpoolRef } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { waitUntil } from './wait-until.ts';

export interface OwnedMail {
  from?: string;
  to: string[];
  text?: string;
}

export interface OwnerOptions {
  link: Link;
  layout: Layout;
  shards: number;
  partition?: number;
  epoch?: number;
}

export class DeliveryOwner {
  readonly accepted: string[] = [];
  readonly outcomes: Outcome[] = [];
  readonly checkpoints: string[] = [];
  readonly sites: SiteStatus[] = [];
  /** Workers that said something. */
  readonly workers = new Set<string>();
  epoch: number;
  readonly #options: OwnerOptions;
  readonly #partition: number;
  #mails = 0;

  constructor(options: OwnerOptions) {
    const { link, partition = 0, epoch = 1 } = options;
    this.#options = options;
    this.#partition = partition;
    this.epoch = epoch;
    link.subscribe(subjects.outcome(partition), ({ data }) => this.#hear(OutcomeBatch.decode(data)));
    link.subscribe(subjects.checkpoint(partition), ({ data }) => {
      this.checkpoints.push(...Checkpoint.decode(data).attemptIds);
    });
  }

  /** Stores the mails in one pack; returns a job for each. */
  async store(mails: OwnedMail[]): Promise<Job[]> {
    const { link, layout } = this.#options;
    const pieces: Uint8Array[] = [];
    const places: { queueId: string; offset: number; length: number }[] = [];
    let offset = 0;
    for (const mail of mails) {
      const queueId = `0${this.#partition}q${(this.#mails++).toString().padStart(8, '0')}`;
      const frame = frameOf(queueId, mail);
      pieces.push(frame);
      places.push({ queueId, offset, length: frame.length });
      offset += frame.length;
    }
    const stored = await new RecordWriter(link).store({
      subject: subjects.spool(this.#partition),
      payload: pieces,
      id: '',
      headers: { 'Postrider-Index': encodeIndex({ entries: [] }) },
      giveUpAfterMs: 10_000,
    });
    if (stored.kind !== 'stored') throw new Error(`not stored: ${stored.kind}`);
    const stream = spoolStream(this.#partition, layout);
    return places.map((place) => {
      return this.#job(place.queueId, { ...place, stream, sequence: stored.sequence });
    });
  }

  /** Sends jobs for one site to the owner of its shard; as an instance with heartbeats, when `from` says which and when. */
  send(site: Site, jobs: Job[], from = { owner: '', clockMs: 0 }): void {
    const { link, shards } = this.#options;
    const message = JobBatch.encode({ site, jobs, ...from }).finish();
    link.publish(subjects.deliver(shardOf(site.key, shards)), message);
  }

  /** Says that outcomes were acted on. */
  acknowledge(worker: string, attemptIds: string[]): void {
    const ack = { partition: this.#partition, epoch: this.epoch, attemptIds, cancelled: [], adopted: [] };
    this.#options.link.publish(subjects.outcomeAck(worker), OutcomeAck.encode(ack).finish());
  }

  /** No attempt of an older owner, or of a worker that is given up, passes its checkpoint from now on. */
  async fence(excluded: Exclusion[] = []): Promise<void> {
    const stored = await new RecordWriter(this.#options.link).store({
      subject: subjects.fence(this.#partition),
      payload: Fence.encode({ epoch: this.epoch, excluded, admitted: undefined }).finish(),
      id: '',
      giveUpAfterMs: 10_000,
    });
    if (stored.kind !== 'stored') throw new Error(`no fence: ${stored.kind}`);
  }

  /** Checkpoints that are stored in its partition, in order. */
  async stored(): Promise<Checkpoint[]> {
    const query = { stream: CHECKPOINTS_STREAM, subject: subjects.checkpoint(this.#partition) };
    const records: Checkpoint[] = [];
    await readAll(this.#options.link, query, ({ data }) => void records.push(Checkpoint.decode(data)));
    return records;
  }

  /** The stream of checkpoints takes nothing until what is returned is called. */
  async closeCheckpoints(): Promise<() => Promise<void>> {
    const { link } = this.#options;
    const info = await callApi<{ config: object }>(
      link,
      `STREAM.INFO.${CHECKPOINTS_STREAM}`,
      undefined,
      5000,
    );
    if (info.kind !== 'ok') throw new Error(`no stream of checkpoints: ${info.kind}`);
    const { config } = info.value;
    const update = async (changes: object) => {
      const call = `STREAM.UPDATE.${CHECKPOINTS_STREAM}`;
      const done = await callApi(link, call, { ...config, ...changes }, 5000);
      if (done.kind !== 'ok')
        throw new Error(`the stream of checkpoints is not changed: ${JSON.stringify(done)}`);
    };
    await update({ max_msg_size: 1 });
    return () => update({});
  }

  /** Says that attempts are not wanted any more. */
  cancel(worker: string, attemptIds: string[]): void {
    const ack = {
      partition: this.#partition,
      epoch: this.epoch,
      attemptIds: [],
      cancelled: attemptIds,
      adopted: [],
    };
    this.#options.link.publish(subjects.outcomeAck(worker), OutcomeAck.encode(ack).finish());
  }

  /** Asks workers what is in flight. */
  async inflight(expected = 1): Promise<InflightAnswer[]> {
    const request = InflightRequest.encode({
      partition: this.#partition,
      epoch: this.epoch,
      takesParts: false,
    }).finish();
    const subject = subjects.inflight(this.#partition);
    const answers = await this.#options.link.scatter(subject, request, { expected, timeoutMs: 2000 });
    return answers.map((answer) => InflightAnswer.decode(answer));
  }

  /** Outcomes of one attempt, as often as they were told. */
  told(job: Job): Outcome[] {
    return this.outcomes.filter(({ attemptId }) => attemptId === job.attemptId);
  }

  /** The first outcome of each job, when all are there. */
  async outcomesOf(jobs: Job[], timeoutMs = 10_000): Promise<Outcome[]> {
    await until(() => jobs.every((job) => this.told(job).length > 0), timeoutMs);
    return jobs.map((job) => this.told(job)[0]!);
  }

  #hear(batch: OutcomeBatch): void {
    this.workers.add(batch.worker);
    this.accepted.push(...batch.accepted);
    this.outcomes.push(...batch.outcomes);
    this.sites.push(...batch.sites);
  }

  #job(queueId: string, ref: SpoolRef): Job {
    const { stream, sequence, offset, length } = ref;
    return {
      attemptId: `${queueId}.1.${this.epoch}`,
      queueId,
      partition: this.#partition,
      epoch: this.epoch,
      ref: { stream, sequence, offset, length },
      recipients: [],
      startByMs: Date.now() + 60_000,
      trace: undefined,
      attempts: 0,
      ownTrace: false,
    };
  }
}

function frameOf(queueId: string, { from = 's@x.test', to, text = 'hello' }: OwnedMail): Uint8Array {
  const data = Buffer.from(`Subject: x\r\n\r\n${text}\r\n`);
  const envelope = {
    queueId,
    reversePath: from,
    forwardPaths: to,
    acceptedAtMs: Date.now(),
    bodyType: BodyType.BODY_TYPE_7BIT,
    trace: undefined,
    clientAddress: '',
    clientName: '',
    protocol: 'ESMTP',
    prependedLength: 0,
    dataLength: 0,
    hasDotLines: false,
    chunks: [],
  };
  const prepended = Buffer.from(`X-Queue-Id: ${queueId}\r\n`);
  return Buffer.concat(encodeFrame({ envelope, prepended, data: [data] }));
}

/** Resolves when `condition` holds; rejects after `timeoutMs`. */
export function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  return waitUntil(condition, timeoutMs);
}
