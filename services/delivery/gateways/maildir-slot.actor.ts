// A carrier that stores mails in Maildirs: what a connection is to an SMTP site, a slot is to a Maildir site. It is ready
// at once and carries one attempt at a time.
//
// Fails: a full disk or a refused directory defers the recipient with the system's error code; the site is not down.
import { type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import type { Envelope, Reply } from '#proto/postrider/v1/mail.ts';
import { type Attempt, outcomeOf, positionsOf, type RecipientFate, returnedUnsent } from '../attempt.ts';
import type { Carrier, CarrierEvent } from '../carrier.ts';
import type { CheckpointDesk } from '../checkpoints.actor.ts';
import { MailData, MailDataError } from '../mail-data.ts';
import type { FrameRead, PackCache } from '../pack-cache.actor.ts';
import { dataTrouble, frameFor } from '../trouble.ts';
import type { MaildirGateway } from './maildir.ts';
import { maildirOf, mailFileName } from './maildir-path.ts';

export interface MaildirSlotOptions {
  /** Directory with {domain} and {local}. */
  template: string;
  hostname: string;
  gateway: MaildirGateway;
  cache: PackCache;
  checkpoints: CheckpointDesk;
  now: () => number;
  /** False when others may have what is ours: nothing more is stored then. */
  mayEnd: () => boolean;
  onEvent: (event: CarrierEvent) => void;
}

const STORED: Reply = { code: 250, enhanced: '2.0.0', text: 'stored in its Maildir', host: '' };

export class MaildirSlot implements Carrier {
  readonly #options: MaildirSlotOptions;
  /** Of the attempt that is carried: recipients whose fate is known. */
  #fates: RecipientFate[] = [];
  #open = true;

  constructor(options: MaildirSlotOptions) {
    this.#options = options;
    setImmediate(() => this.#tell({ kind: 'ready' }));
  }

  carry(attempt: Attempt): void {
    this.#options.cache.frame(attempt.job.ref!, (read) => {
      void this.#store(attempt, frameFor(attempt.job, read));
    });
  }

  quit(): void {
    this.#open = false;
    setImmediate(() => this.#options.onEvent({ kind: 'left' }));
  }

  destroy(): readonly RecipientFate[] {
    this.#open = false;
    return this.#fates;
  }

  sweep(): void {}

  #tell(event: CarrierEvent): void {
    if (this.#open) this.#options.onEvent(event);
  }

  async #store(attempt: Attempt, read: FrameRead): Promise<void> {
    const outcome =
      read.kind === 'found' ? await this.#storeAll(attempt, read) : dataTrouble(attempt.job, read.kind);
    this.#tell({ kind: 'finished', attempt, outcome, connectionIs: 'reusable' });
  }

  async #storeAll(attempt: Attempt, { frame }: FrameRead & { kind: 'found' }): Promise<Outcome> {
    const pass = this.#passageOf(attempt);
    const fates: RecipientFate[] = [];
    this.#fates = fates;
    const positions = positionsOf(attempt.job, frame.envelope.forwardPaths.length);
    try {
      for (const position of positions) {
        const pieces = () => new MailData(this.#options.cache, frame).pieces();
        const fate = await this.#storeOne(frame.envelope, position, pieces, pass);
        if (fate === 'not passed') return notPassed(attempt, positions, fates);
        fates.push(fate);
      }
    } catch (error) {
      if (error instanceof MailDataError) return dataTrouble(attempt.job, error.trouble);
      throw error;
    }
    return outcomeOf(attempt.job, fates, '');
  }

  /** One checkpoint for all recipients, and a last look before each is stored. */
  #passageOf(attempt: Attempt): () => Promise<'passed' | 'refused'> {
    const { checkpoints, mayEnd } = this.#options;
    let passage: Promise<'passed' | 'refused'> | undefined;
    return async () => {
      passage ??= new Promise((answer) => {
        checkpoints.pass(attempt, { passed: () => answer('passed'), refused: () => answer('refused') });
      });
      if ((await passage) === 'refused' || !this.#open || !mayEnd()) return 'refused';
      attempt.dot = 'out';
      return 'passed';
    };
  }

  async #storeOne(
    envelope: Envelope,
    position: number,
    pieces: () => AsyncIterable<readonly Uint8Array[]>,
    pass: () => Promise<'passed' | 'refused'>,
  ): Promise<RecipientFate | 'not passed'> {
    const { template, hostname, gateway, now } = this.#options;
    const { queueId, acceptedAtMs, reversePath } = envelope;
    const forwardPath = envelope.forwardPaths[position]!;
    const directory = maildirOf(template, forwardPath);
    const fileName = mailFileName({ queueId, acceptedAtMs, hostname }, position);
    // RFC 5321 §4.4: final delivery adds the reverse-path.
    const fields = Buffer.from(`Return-Path: <${reversePath}>\r\nDelivered-To: ${forwardPath}\r\n`, 'latin1');
    const whole = prefixed(fields, pieces());
    const result = await gateway.store({ directory, fileName, pieces: whole, pass }, now());
    if (result.kind === 'delivered') return { position, kind: OutcomeKind.DELIVERED, reply: STORED };
    if (result.kind === 'not passed') return result.kind;
    return { position, kind: OutcomeKind.DEFERRED, reply: refusalOf(result.code) };
  }
}

/** What is stored stays so; the rest is for whoever has the mail now. */
function notPassed(attempt: Attempt, positions: readonly number[], fates: readonly RecipientFate[]): Outcome {
  const returned = returnedUnsent(attempt.job, 'the mail is not to be stored by this attempt any more');
  if (attempt.dot === 'ahead') return returned;
  const rest = positions.slice(fates.length).map((position) => {
    return { position, kind: OutcomeKind.DEFERRED, reply: returned.reply! };
  });
  return outcomeOf(attempt.job, [...fates, ...rest], '');
}

async function* prefixed(
  fields: Uint8Array,
  pieces: AsyncIterable<readonly Uint8Array[]>,
): AsyncGenerator<readonly Uint8Array[]> {
  let first = true;
  for await (const some of pieces) {
    yield first ? [fields, ...some] : some;
    first = false;
  }
}

function refusalOf(code: string): Reply {
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  const text = isFull ? `no room in the Maildir (${code})` : `the Maildir cannot be written (${code})`;
  return { code: isFull ? 452 : 451, enhanced: isFull ? '4.2.2' : '4.3.0', text, host: '' };
}
