// The last station before a mail can be out twice: stores in the stream CHECKPOINTS that an attempt is about to send its final dot,
// for all attempts of a partition that ask meanwhile together, and lets them go on when they are stored where the next owner of
// the partition finds them, whoever has died. checkpoint.machine.ts decides who may.
//
// Fails: while the link is down, the stream is full or has no leader, nobody passes: who waits goes on when that is over, or runs
// into the host's patience. Whose owner has been replaced is refused.
import { readMessage } from '#libs/nats/decoding.ts';
import { lastRecord } from '#libs/nats/direct-get.ts';
import { CHECKPOINTS_STREAM, subjects } from '#libs/nats/layout.ts';
import type { Link, RecordAnswer } from '#libs/nats/link.ts';
import { meaningOf, type PublishError } from '#libs/nats/publish-errors.ts';
import { Checkpoint, Fence, OutcomeBatch } from '#proto/postrider/v1/job.ts';
import type { Attempt } from './attempt.ts';
import {
  ask,
  type CheckpointEffect,
  type CheckpointInput,
  type KnownFence,
  longestWaiting,
  newCheckpoints,
  type RefusalCause,
  receive,
} from './checkpoint.machine.ts';
import type { Departure } from './departure.ts';

/** Who asks for an attempt; told once, in a later turn. */
export interface PassageListener {
  passed(attempt: Attempt): void;
  /** Its final dot must not be sent. */
  refused(attempt: Attempt, cause: RefusalCause): void;
}

/** What carriers see of it. */
export interface CheckpointDesk {
  pass(attempt: Attempt, listener: PassageListener): void;
}

interface Passenger {
  readonly attempt: Attempt;
  readonly listener: PassageListener;
  /** performance.now */
  readonly askedAtMs: number;
}

type Effect = CheckpointEffect<Passenger>;
type Publish = Extract<Effect, { kind: 'publish' }>;

export interface CheckpointsOptions {
  link: Pick<Link, 'instance' | 'ask' | 'request' | 'publish' | 'onReconnected'>;
  departure: Departure;
  /** The attempt is marked before it is published: from then on it may be stored. */
  onPublished: (attemptId: string) => void;
  /** It is stored, and the final dot may leave. */
  onPassed: (attemptId: string) => void;
  /** Nobody passes, for a reason that may need an operator. */
  onTrouble: (reason: string) => void;
  /** Random in [0, 1). */
  random: () => number;
}

/** An acknowledgement takes a fraction of a millisecond; a lost one must not cost much more than finding a new leader. */
const TRY_MS = 1000;
/** Others publish fenced records of the partition too, and a replicated stream takes one at a time. */
const MOMENT_MS = 1;
const MOMENT_MORE_MS = 2;
const WHILE_MS = 100;
const NO_FENCE: KnownFence = { sequence: 0, epoch: 0, through: undefined };
const SEQUENCE = Buffer.from('"seq"');
const ERROR = Buffer.from('"error"');

export class Checkpoints implements CheckpointDesk {
  readonly #options: CheckpointsOptions;
  readonly #state = newCheckpoints<Passenger>();

  constructor(options: CheckpointsOptions) {
    this.#options = options;
    options.departure.join(() => this.#feed({ kind: 'departed' }));
    options.link.onReconnected(() => this.#feed({ kind: 'reconnected' }));
  }

  /** How long the one has waited that waits longest, seconds; 0 when nobody does. */
  get longestWaitSeconds(): number {
    const longest = longestWaiting(this.#state);
    return longest === undefined ? 0 : (performance.now() - longest.askedAtMs) / 1000;
  }

  pass(attempt: Attempt, listener: PassageListener): void {
    ask(this.#state, { attempt, listener, askedAtMs: performance.now() });
    this.#options.departure.soon();
  }

  #feed(input: CheckpointInput): void {
    for (const effect of receive(this.#state, input)) this.#perform(effect);
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'publish':
        this.#publish(effect);
        break;
      case 'readFence':
        void this.#readFence(effect.partition);
        break;
      case 'pause': {
        const { partition, length } = effect;
        const ms = length === 'while' ? WHILE_MS : MOMENT_MS + MOMENT_MORE_MS * this.#options.random();
        setTimeout(() => this.#feed({ kind: 'woken', partition }), ms);
        break;
      }
      case 'missFence':
        this.#missFence(effect.partition);
        break;
      case 'goOn':
        this.#options.onPassed(effect.passenger.attempt.job.attemptId);
        effect.passenger.listener.passed(effect.passenger.attempt);
        break;
      case 'refuse':
        effect.passenger.listener.refused(effect.passenger.attempt, effect.cause);
        break;
    }
  }

  #publish({ partition, fenceSequence, passengers }: Publish): void {
    const { link, onPublished } = this.#options;
    for (const { attempt } of passengers) onPublished(attempt.job.attemptId);
    const question = {
      subject: subjects.checkpoint(partition),
      payload: this.#recordOf(passengers),
      headers: {
        'Nats-Expected-Last-Subject-Sequence': String(fenceSequence),
        'Nats-Expected-Last-Subject-Sequence-Subject': subjects.fence(partition),
      },
      timeoutMs: TRY_MS,
    };
    link.ask(question, (answer) => this.#feed({ kind: this.#meaningOf(answer), partition }));
  }

  #recordOf(passengers: readonly Passenger[]): Uint8Array {
    const attemptIds: string[] = [];
    const parts: { attemptId: string; recipients: number[] }[] = [];
    for (const { attempt } of passengers) {
      const { attemptId, recipients } = attempt.job;
      attemptIds.push(attemptId);
      if (recipients.length > 0) parts.push({ attemptId, recipients });
    }
    const worker = this.#options.link.instance;
    return Checkpoint.encode({ worker, attemptIds, ended: [], parts }).finish();
  }

  #meaningOf(answer: RecordAnswer): 'stored' | 'conflict' | 'busy' | 'unavailable' {
    // Lost, or nobody there who stores: that passes, and NATS says so itself.
    if (answer.kind !== 'answer') return 'unavailable';
    const error = errorIn(answer.record.data);
    if (error === undefined) return 'stored';
    if (error.err_code === IN_PROCESS) return 'busy';
    const meaning = meaningOf(error);
    if (meaning === 'conflict') return 'conflict';
    if (meaning !== 'again') this.#options.onTrouble(`checkpoints are not stored: ${wordsOf(error)}`);
    return 'unavailable';
  }

  #missFence(partition: number): void {
    const { link, onTrouble } = this.#options;
    onTrouble(
      `${subjects.fence(partition)} is not what its owner wrote: attempts wait until that writes it again`,
    );
    const nothing = { accepted: [], outcomes: [], sites: [] };
    const batch = OutcomeBatch.encode({ worker: link.instance, ...nothing, unfenced: true });
    link.publish(subjects.outcome(partition), batch.finish());
  }

  async #readFence(partition: number): Promise<void> {
    const got = await lastRecord(this.#options.link, CHECKPOINTS_STREAM, subjects.fence(partition));
    if (got.kind === 'unavailable') this.#feed({ kind: 'unavailable', partition });
    else if (got.kind === 'missing') this.#feed({ kind: 'fenceRead', partition, fence: NO_FENCE });
    else {
      const fence = this.#fenceOf(partition, got.record);
      this.#feed(
        fence === undefined ? { kind: 'unavailable', partition } : { kind: 'fenceRead', partition, fence },
      );
    }
  }

  #fenceOf(
    partition: number,
    { sequence, data }: { sequence: number; data: Uint8Array },
  ): KnownFence | undefined {
    const { link, onTrouble } = this.#options;
    const subject = subjects.fence(partition);
    const fence = readMessage(Fence, data, subject);
    if (fence === undefined) {
      onTrouble(`${subject} cannot be read (${CHECKPOINTS_STREAM} ${sequence})`);
      return undefined;
    }
    return { sequence, epoch: fence.epoch, through: throughOf(fence, link.instance) };
  }
}

/** Up to which attempt the fence shuts the worker out; undefined when it does not. */
function throughOf({ excluded, admitted }: Fence, instance: string): number | undefined {
  const all = excluded.filter(({ worker }) => worker === instance).map(({ through }) => through);
  if (admitted !== undefined && !admitted.workers.includes(instance)) all.push(admitted.through);
  return all.length === 0 ? undefined : Math.max(...all);
}

/** "wrong last sequence": a fenced publish of this subject is under way in a replicated stream. */
const IN_PROCESS = 10164;

/** An acknowledgement is not read further: thousands come in a second, and only an error says more than that it is one. */
function errorIn(data: Uint8Array): PublishError | undefined {
  const text = Buffer.from(data.buffer, data.byteOffset, data.length);
  if (text.includes(SEQUENCE) && !text.includes(ERROR)) return undefined;
  const unreadable: PublishError = { code: 0, description: 'the answer is no acknowledgement' };
  try {
    const { error } = JSON.parse(text.toString()) as { error?: PublishError };
    return error ?? unreadable;
  } catch {
    return unreadable;
  }
}

function wordsOf({ err_code: number, description = '' }: PublishError): string {
  return `${description.slice(0, 200)} (${number ?? 0})`;
}
