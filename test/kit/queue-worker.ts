// Plays a delivery worker towards owners of partitions: takes jobs, says what a test wants of each, answers who asks
// what is in flight, and repeats outcomes until they are acknowledged.
import { setTimeout as pause } from 'node:timers/promises';
import { bitmapOf } from '#libs/nats/bitmap.ts';
import { subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { Presence } from '#libs/nats/presence.ts';
import {
  InflightAnswer,
  InflightRequest,
  type Job,
  JobBatch,
  type Outcome,
  OutcomeAck,
  OutcomeBatch,
  OutcomeKind,
  type SiteStatus,
} from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import { FencedCheckpoints, type Passage } from './fenced-checkpoint.ts';

export const OK: Reply = { code: 250, enhanced: '2.0.0', text: 'Ok', host: 'mx' };
export const BUSY: Reply = { code: 451, enhanced: '4.3.0', text: 'busy', host: 'mx' };
export const GONE: Reply = { code: 550, enhanced: '5.1.1', text: 'no such user', host: 'mx' };

/** What a worker does with a job: an outcome kind, or nothing until the test says more. */
export type Decision = keyof typeof REPLY_OF | 'keep' | 'ignore';

const REPLY_OF = { RELAYED: OK, DELIVERED: OK, DEFERRED: BUSY, FAILED: GONE, RETURNED: BUSY } as const;

export interface Taken {
  site: Site;
  job: Job;
}

const REPEAT_MS = 500;

export class FakeWorker {
  readonly link: Link;
  /** Every job that arrived, in order. */
  readonly taken: Taken[] = [];
  readonly acknowledged: string[] = [];
  readonly unacknowledged = new Map<string, { partition: number; outcome: Outcome }>();
  /** What to do with jobs. */
  decide: (job: Job, site: Site) => Decision = () => 'RELAYED';
  /** What an answer to an in-flight question is withheld for. */
  isMute = false;
  readonly #presence: Presence;
  readonly #checkpoints: FencedCheckpoints;
  readonly #running = new Map<string, Taken & { checkpointed: boolean; passed: boolean }>();
  readonly #epochs = new Map<number, number>();
  readonly #timer: NodeJS.Timeout;
  #isUp = true;

  constructor(link: Link, presence: Presence, layout: { shards: number; partitions: number }) {
    this.link = link;
    this.#presence = presence;
    this.#checkpoints = new FencedCheckpoints(link);
    for (let shard = 0; shard < layout.shards; shard++) {
      const take = ({ data }: { data: Uint8Array }) => this.#take(JobBatch.decode(data));
      link.subscribe(subjects.deliver(shard), take, { workerGroup: 'delivery' });
    }
    for (let partition = 0; partition < layout.partitions; partition++) {
      link.subscribe(subjects.inflight(partition), ({ data, reply }) => {
        if (!this.isMute) link.publish(reply, this.#inflight(InflightRequest.decode(data)));
      });
    }
    link.subscribe(subjects.outcomeAck(link.instance), ({ data }) => this.#acked(OutcomeAck.decode(data)));
    this.#timer = setInterval(() => this.#repeat(), REPEAT_MS);
  }

  static async start(url: string, layout: { shards: number; partitions: number }): Promise<FakeWorker> {
    const link = await connectLink({ url, service: 'delivery' });
    const holds = () => bitmapOf([...Array(layout.shards).keys()], layout.shards);
    const presence = new Presence(link, { service: 'delivery', watch: ['delivery'], holds });
    const worker = new FakeWorker(link, presence, layout);
    // It says at once that it is here; it need not hear of others.
    void presence.start();
    return worker;
  }

  get instance(): string {
    return this.link.instance;
  }

  /** Jobs of one mail that arrived so far. */
  jobsOf(queueId: string): Job[] {
    return this.taken.filter(({ job }) => job.queueId === queueId).map(({ job }) => job);
  }

  /** Gone at once: no answer, no outcome, no heartbeat. With a goodbye the others need not wait for silence. */
  async die(): Promise<void> {
    if (!this.#isUp) return;
    this.#isUp = false;
    clearInterval(this.#timer);
    await this.#presence.leave();
    await this.link.close();
  }

  /**
   * Marks the attempt and stores its checkpoint; resolves when that is stored, or refused: a fenced attempt is given back as one
   * that was never started.
   */
  async checkpoint(job: Job): Promise<Passage> {
    const running = this.#running.get(job.attemptId);
    if (running !== undefined) running.checkpointed = true;
    const passage = await this.#checkpoints.pass(job);
    if (running !== undefined) running.passed = passage === 'passed';
    if (passage === 'fenced' && this.#isUp) this.finish(job, 'RETURNED');
    return passage;
  }

  /** The attempt is over. */
  finish(job: Job, decision: keyof typeof REPLY_OF, recipients: Outcome['recipients'] = []): void {
    this.#running.delete(job.attemptId);
    const { attemptId, queueId, partition } = job;
    const kind = OutcomeKind[decision];
    const reply = REPLY_OF[decision];
    const outcome = { attemptId, queueId, kind, reply, recipients, tls: '', jobRecipients: job.recipients };
    this.unacknowledged.set(attemptId, { partition, outcome });
    this.#say(partition, { outcomes: [outcome] });
  }

  /** Gives the job back: the mail is not where the job says. */
  miss({ attemptId, queueId, partition, recipients: jobRecipients }: Job): void {
    this.#running.delete(attemptId);
    const kind = OutcomeKind.RETURNED;
    const what = { recipients: [], tls: '', jobRecipients, contentMissing: true };
    const outcome = { attemptId, queueId, kind, reply: BUSY, ...what };
    this.unacknowledged.set(attemptId, { partition, outcome });
    this.#say(partition, { outcomes: [outcome] });
  }

  /** Where a site stands. */
  status(partition: number, status: SiteStatus): void {
    this.#say(partition, { sites: [status] });
  }

  /** Waits for the next job that `isWanted`. */
  async job(isWanted: (job: Job) => boolean, timeoutMs = 10_000): Promise<Job> {
    const untilMs = Date.now() + timeoutMs;
    for (;;) {
      const found = this.taken.find(({ job }) => isWanted(job));
      if (found !== undefined) return found.job;
      if (Date.now() > untilMs) throw new Error(`no such job within ${timeoutMs} ms: ${isWanted}`);
      await pause(5);
    }
  }

  #say(partition: number, what: Partial<OutcomeBatch>): void {
    const batch = { worker: this.instance, accepted: [], outcomes: [], sites: [], ...what };
    this.link.publish(subjects.outcome(partition), OutcomeBatch.encode(batch).finish());
  }

  #take({ site, jobs }: JobBatch): void {
    for (const job of jobs) {
      if (job.epoch < (this.#epochs.get(job.partition) ?? 0)) continue;
      this.#epochs.set(job.partition, job.epoch);
      const decision = this.decide(job, site!);
      if (decision === 'ignore' || this.#running.has(job.attemptId)) continue;
      this.taken.push({ site: site!, job });
      this.#running.set(job.attemptId, { site: site!, job, checkpointed: false, passed: false });
      this.#say(job.partition, { accepted: [job.attemptId] });
      if (decision !== 'keep') this.finish(job, decision);
    }
  }

  #inflight({ partition, epoch }: InflightRequest): Uint8Array {
    this.#epochs.set(partition, Math.max(epoch, this.#epochs.get(partition) ?? 0));
    const running = [...this.#running.values()].filter(({ job }) => job.partition === partition);
    const untold = [...this.unacknowledged.values()].filter((one) => one.partition === partition);
    return InflightAnswer.encode({
      worker: this.instance,
      running: running.map(({ job, site, checkpointed, passed }) => {
        const { attemptId, queueId, recipients } = job;
        return { attemptId, queueId, recipients, siteKey: site.key, checkpointed, passed };
      }),
      unacknowledged: untold.map(({ outcome }) => outcome),
      part: 0,
      parts: 0,
    }).finish();
  }

  #acked({ partition, epoch, attemptIds, cancelled, adopted }: OutcomeAck): void {
    if (epoch < (this.#epochs.get(partition) ?? 0)) return;
    for (const id of adopted) {
      const running = this.#running.get(id);
      if (running !== undefined) running.job.epoch = epoch;
    }
    for (const id of cancelled) {
      const running = this.#running.get(id);
      if (running?.checkpointed === false) this.finish(running.job, 'RETURNED');
    }
    for (const id of attemptIds) {
      // An outcome that was told twice is acknowledged twice.
      if (this.unacknowledged.delete(id)) this.acknowledged.push(id);
    }
  }

  #repeat(): void {
    for (const { partition, outcome } of this.unacknowledged.values()) {
      this.#say(partition, { outcomes: [outcome] });
    }
  }
}
