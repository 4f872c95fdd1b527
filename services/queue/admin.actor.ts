// Answers the operator: what waits in the whole cluster, and "try it now". Any queue instance can be asked; it asks
// all of them over NATS and puts the answers together.
//
// Fails: an instance that does not answer within some seconds is left out, and so is a partition that nobody has open, since its owner
// changes; both answers say how many. What was asked of such mail is to be asked again: nothing is kept for a next owner.
import type { ClockSpread } from '#libs/nats/clock-skew.ts';
import { listen, readMessage } from '#libs/nats/decoding.ts';
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Layout } from '#libs/nats/layout.ts';
import type { Link, LinkSubscription } from '#libs/nats/link.ts';
import type { Flushed, Listing } from '#libs/rpc/queue-admin.ts';
import type { SteadyClock } from '#libs/shell/steady-clock.ts';
import {
  FlushAnswer,
  FlushRequest,
  ListAnswer,
  ListRequest,
  type PhaseCount,
  type QueuedMail,
} from '#proto/postrider/v1/admin.ts';
import type { Custody } from './custody.ts';
import { FrameReader } from './frames.ts';
import type { Message } from './message.ts';
import { Oldest } from './oldest.ts';
import type { Partition } from './partition.actor.ts';
import type { Queue } from './queue.actor.ts';
import { describe, isAsked, phaseText } from './queued-mail.ts';
import type { SiteDesk } from './site-desk.actor.ts';

const LIST = 'admin.queue.list';
const FLUSH = 'admin.queue.flush';
const ANSWER_WAIT_MS = 5000;
const LIMIT_DEFAULT = 1000;
const LIMIT_MAX = 5000;
/** Envelopes read at a time. */
const READERS = 16;
/** An answer is at most half of what NATS takes, and this; a recipient with its reply is up to 600 octets. */
const ANSWER_OCTETS_MAX = 700_000;
/** Mails looked at in one turn of the event loop: mail in delivery must not wait for the operator. */
const LOOKS_PER_TURN = 2000;

export interface AdminOptions {
  link: Link;
  layout: Pick<Layout, 'partitions'>;
  direct: DirectGet;
  queue: Queue;
  desk: SiteDesk;
  now: () => number;
  clock: Pick<SteadyClock, 'toWall'>;
  /** Queue instances that live. */
  instances: () => number;
  /** Of queue and delivery instances as this one sees them; undefined when it knows of no other. */
  clocks: () => ClockSpread | undefined;
  onTrouble: (reason: string) => void;
}

export class QueueAdmin {
  readonly #options: AdminOptions;
  readonly #subscriptions: LinkSubscription[];

  constructor(options: AdminOptions) {
    this.#options = options;
    const { link } = options;
    this.#subscriptions = [
      listen(link, {
        subject: LIST,
        wire: ListRequest,
        onMessage: (request, { reply }) =>
          this.#answer(reply, async () => ListAnswer.encode(await this.#listHere(request)).finish()),
      }),
      listen(link, {
        subject: FLUSH,
        wire: FlushRequest,
        onMessage: (request, { reply }) =>
          this.#answer(reply, async () => FlushAnswer.encode(await this.#flushHere(request)).finish()),
      }),
    ];
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** A question without a reply subject is nonsense: what is published there would end the connection. */
  #answer(reply: string, act: () => Promise<Uint8Array>): void {
    if (reply === '') return;
    act()
      .then((answer) => this.#options.link.publish(reply, answer))
      .catch((error: Error) => this.#options.onTrouble(`cannot answer the operator: ${error.message}`));
  }

  /** Waiting mails of all instances, oldest first. */
  async list(request: ListRequest): Promise<Listing> {
    const instances = this.#options.instances();
    const options = { expected: instances, timeoutMs: ANSWER_WAIT_MS };
    const replies = await this.#options.link.scatter(LIST, ListRequest.encode(request).finish(), options);
    const answers = replies.flatMap((data) => readMessage(ListAnswer, data, LIST) ?? []);
    const mails = answers.flatMap((answer) => answer.mails);
    mails.sort((a, b) => a.acceptedAtMs - b.acceptedAtMs);
    const phases = new Map<string, number>();
    for (const answer of answers) for (const phase of answer.phases) addPhase(phases, phase);
    const summary = {
      mails: answers.reduce((sum, { matching }) => sum + matching, 0),
      phases: phasesOf(phases),
      instances,
      answered: answers.length,
      clocks: this.#options.clocks(),
      partitionsMissed: this.#missedBy(answers),
    };
    return { mails: mails.slice(0, limitOf(request)), summary };
  }

  /** Makes waiting recipients due now, in all instances; how many. */
  async flush(request: FlushRequest): Promise<Flushed> {
    const instances = this.#options.instances();
    const options = { expected: instances, timeoutMs: ANSWER_WAIT_MS };
    const replies = await this.#options.link.scatter(FLUSH, FlushRequest.encode(request).finish(), options);
    const answers = replies.flatMap((data) => readMessage(FlushAnswer, data, FLUSH) ?? []);
    return {
      recipients: answers.reduce((sum, { recipients }) => sum + recipients, 0),
      instances,
      answered: answers.length,
      partitionsMissed: this.#missedBy(answers),
    };
  }

  /** Partitions that none of them has looked at; none where one of them, an older one, does not say. */
  #missedBy(answers: readonly { partitions?: number | undefined }[]): number {
    let seen = 0;
    for (const { partitions } of answers) seen += partitions ?? Number.POSITIVE_INFINITY;
    return Math.max(0, this.#options.layout.partitions - seen);
  }

  /** Every mail of the partitions that are open here, over as many turns as it takes; resolves with these partitions. */
  async #each(look: (custody: Custody, partition: Partition) => void): Promise<Set<Partition>> {
    let looks = 0;
    const seen = new Set<Partition>();
    for (const partition of [...this.#options.queue.partitions.values()]) {
      for (const custody of partition.mails.all()) {
        if (!partition.isOpen) break;
        look(custody, partition);
        looks += 1;
        if (looks % LOOKS_PER_TURN === 0) await new Promise((done) => setImmediate(done));
      }
      if (partition.isOpen) seen.add(partition);
    }
    return seen;
  }

  async #flushHere({ queueId, domain }: FlushRequest): Promise<FlushAnswer> {
    const { desk, now } = this.#options;
    const siteKeys = new Set<string>();
    const refusing = new Set<Partition>();
    let recipients = 0;
    const seen = await this.#each((custody, partition) => {
      if (queueId !== '' && custody.message.queueId !== queueId) return;
      let waiting = 0;
      for (const recipient of custody.message.recipients) {
        if (!isAsked(recipient, domain)) continue;
        if (recipient.phase === 'waiting' || recipient.phase === 'held') waiting += 1;
        if (recipient.phase !== 'ready') continue;
        siteKeys.add(recipient.siteKey);
        recipients += 1;
      }
      if (waiting === 0) return;
      if (partition.feed(custody, { kind: 'flushed', nowMs: now(), domain })) recipients += waiting;
      else refusing.add(partition);
    });
    desk.flush(siteKeys);
    const partitions = [...seen].filter((partition) => !refusing.has(partition)).length;
    return { recipients, instances: 0, answered: 0, partitionsMissed: 0, partitions };
  }

  async #listHere(request: ListRequest): Promise<ListAnswer> {
    const { desk, link } = this.#options;
    const findSite = (key: string) => desk.find(key);
    const oldest = new Oldest<Message>(limitOf(request));
    const phases = new Map<string, number>();
    let matching = 0;
    const seen = await this.#each(({ message }) => {
      const asked = message.recipients.filter((recipient) => isAsked(recipient, request.domain));
      if (asked.length === 0) return;
      matching += 1;
      oldest.add(message);
      for (const recipient of asked)
        addPhase(phases, { phase: phaseText(recipient, findSite), recipients: 1 });
    });
    const mails = await this.#describeAll(oldest.items(), request.domain);
    return { instance: link.instance, mails, matching, phases: phasesOf(phases), partitions: seen.size };
  }

  /** In the order of `messages`, as many as fit in one answer. */
  async #describeAll(messages: readonly Message[], domain: string): Promise<QueuedMail[]> {
    const described: QueuedMail[] = [];
    const findSite = (key: string) => this.#options.desk.find(key);
    let octets = 0;
    const octetsMax = Math.min(ANSWER_OCTETS_MAX, this.#options.link.payloadMax / 2);
    for (let from = 0; from < messages.length && octets < octetsMax; from += READERS) {
      const some = messages.slice(from, from + READERS);
      const envelopes = await Promise.all(some.map((message) => this.#envelopeOf(message)));
      some.forEach((message, i) => {
        const mail = describe(message, envelopes[i], {
          domain,
          findSite,
          toWall: this.#options.clock.toWall,
        });
        octets += weightOf(mail);
        if (octets < octetsMax) described.push(mail);
      });
    }
    return described;
  }

  async #envelopeOf(message: Message) {
    const read = await new FrameReader(this.#options.direct).read(message.ref);
    return read.kind === 'found' ? read.frame.envelope : undefined;
  }
}

function limitOf(request: ListRequest): number {
  return Math.min(request.limit || LIMIT_DEFAULT, LIMIT_MAX);
}

function weightOf(mail: QueuedMail): number {
  let octets = 100 + mail.reversePath.length;
  for (const { forwardPath, site, lastReply } of mail.recipients) {
    octets += 100 + forwardPath.length + site.length + (lastReply?.text.length ?? 0);
  }
  return octets;
}

function addPhase(phases: Map<string, number>, { phase, recipients }: PhaseCount): void {
  phases.set(phase, (phases.get(phase) ?? 0) + recipients);
}

function phasesOf(phases: Map<string, number>): PhaseCount[] {
  return [...phases].map(([phase, recipients]) => ({ phase, recipients }));
}
