// Answers the operator: what waits in the whole cluster, and "try it now". Any queue instance can be asked; it asks
// all of them over NATS and puts the answers together.
//
// Fails: an instance that does not answer within two seconds is left out; its partitions are being taken over then.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Link } from '#libs/nats/link.ts';
import {
  FlushAnswer,
  FlushRequest,
  ListAnswer,
  ListRequest,
  type QueuedMail,
  type QueuedRecipient,
} from '#proto/postrider/v1/admin.ts';
import { FrameReader } from './frames.ts';
import type { Message, Recipient } from './message.ts';
import type { Queue } from './queue.actor.ts';
import type { SiteDesk } from './site-desk.actor.ts';

const LIST = 'admin.queue.list';
const FLUSH = 'admin.queue.flush';
const ANSWER_WAIT_MS = 2000;
const LIMIT_DEFAULT = 1000;
const LIMIT_MAX = 5000;

export interface AdminOptions {
  link: Link;
  direct: DirectGet;
  queue: Queue;
  desk: SiteDesk;
  now: () => number;
  instances: () => number;
}

export class QueueAdmin {
  readonly #options: AdminOptions;

  constructor(options: AdminOptions) {
    this.#options = options;
    const { link } = options;
    link.subscribe(LIST, (message) => void this.#answerList(message.reply, ListRequest.decode(message.data)));
    link.subscribe(FLUSH, (message) => {
      const answer = { recipients: this.#flushHere(FlushRequest.decode(message.data)) };
      link.publish(message.reply, FlushAnswer.encode(answer).finish());
    });
  }

  /** Waiting mails of all instances, oldest first. */
  async list(request: ListRequest): Promise<QueuedMail[]> {
    const options = { expected: this.#options.instances(), timeoutMs: ANSWER_WAIT_MS };
    const answers = await this.#options.link.scatter(LIST, ListRequest.encode(request).finish(), options);
    const mails = answers.flatMap((answer) => ListAnswer.decode(answer).mails);
    mails.sort((a, b) => a.acceptedAtMs - b.acceptedAtMs);
    return mails.slice(0, Math.min(request.limit || LIMIT_DEFAULT, LIMIT_MAX));
  }

  /** Makes waiting recipients due now, in all instances; how many. */
  async flush(request: FlushRequest): Promise<number> {
    const options = { expected: this.#options.instances(), timeoutMs: ANSWER_WAIT_MS };
    const answers = await this.#options.link.scatter(FLUSH, FlushRequest.encode(request).finish(), options);
    return answers.reduce((sum, answer) => sum + FlushAnswer.decode(answer).recipients, 0);
  }

  #flushHere(request: FlushRequest): number {
    const { queue, desk, now } = this.#options;
    let recipients = 0;
    for (const partition of queue.partitions.values()) {
      for (const custody of partition.custodies.values()) {
        const { message } = custody;
        if (request.queueId !== '' && message.queueId !== request.queueId) continue;
        const asked = message.recipients.filter(
          (recipient) =>
            (request.domain === '' || recipient.domain === request.domain) &&
            (recipient.phase === 'waiting' || recipient.phase === 'held' || recipient.phase === 'ready'),
        );
        recipients += asked.length;
        partition.feed(custody, { kind: 'flushed', nowMs: now(), domain: request.domain });
      }
    }
    desk.flush();
    return recipients;
  }

  async #answerList(reply: string, request: ListRequest): Promise<void> {
    const { queue, direct, link } = this.#options;
    const limit = Math.min(request.limit || LIMIT_DEFAULT, LIMIT_MAX);
    const found: Message[] = [];
    for (const partition of queue.partitions.values()) {
      for (const { message } of partition.custodies.values()) {
        if (request.domain === '' || message.recipients.some(({ domain }) => domain === request.domain)) {
          found.push(message);
        }
      }
    }
    found.sort((a, b) => a.acceptedAtMs - b.acceptedAtMs);
    const reader = new FrameReader(direct);
    const mails: QueuedMail[] = [];
    for (const message of found.slice(0, limit)) mails.push(await this.#describe(reader, message));
    link.publish(reply, ListAnswer.encode({ instance: link.instance, mails }).finish());
  }

  async #describe(reader: FrameReader, message: Message): Promise<QueuedMail> {
    const read = await reader.read(message.ref);
    const envelope = read.kind === 'found' ? read.frame.envelope : undefined;
    const recipients: QueuedRecipient[] = [];
    message.recipients.forEach((recipient, position) => {
      if (recipient.phase === 'done') return;
      recipients.push(
        this.#recipient(recipient, envelope?.forwardPaths[position] ?? `?@${recipient.domain}`),
      );
    });
    return {
      queueId: message.queueId,
      reversePath: envelope?.reversePath ?? '?',
      acceptedAtMs: message.acceptedAtMs,
      size: message.size,
      recipients,
    };
  }

  #recipient(recipient: Recipient, forwardPath: string): QueuedRecipient {
    const site = recipient.phase === 'ready' ? this.#options.desk.find(recipient.siteKey) : undefined;
    const suspended = site?.phase === 'suspended';
    return {
      forwardPath,
      domain: recipient.domain,
      phase: suspended ? 'site suspended' : PHASE_WORDS[recipient.phase],
      site: recipient.siteKey,
      attempts: recipient.attempts,
      nextAttemptAtMs: suspended ? site.suspendedUntilMs : recipient.nextAttemptAtMs,
      lastReply: suspended ? site.reason : recipient.lastReply.code === 0 ? undefined : recipient.lastReply,
    };
  }
}

const PHASE_WORDS: Record<Recipient['phase'], string> = {
  routing: 'routing',
  ready: 'queued',
  attempting: 'in delivery',
  waiting: 'deferred',
  held: 'held',
  failed: 'being reported',
  done: 'done',
};
