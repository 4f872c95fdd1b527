// A carrier that stores mails in Maildirs: what a connection is to an SMTP site, a slot is to a Maildir site. It is ready
// at once and carries one attempt at a time.
//
// Fails: a full disk or a refused directory defers the recipient with the system's error code; the site is not down.
import { type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import type { Envelope, Reply } from '#proto/postrider/v1/mail.ts';
import { type Attempt, outcomeOf, positionsOf, type RecipientFate } from '../attempt.ts';
import type { Carrier, CarrierEvent } from '../carrier.ts';
import type { Checkpoints } from '../checkpoints.actor.ts';
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
  checkpoints: Pick<Checkpoints, 'pass'>;
  now: () => number;
  onEvent: (event: CarrierEvent) => void;
}

const STORED: Reply = { code: 250, enhanced: '2.0.0', text: 'stored in its Maildir', host: '' };

export class MaildirSlot implements Carrier {
  readonly #options: MaildirSlotOptions;
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

  destroy(): void {
    this.#open = false;
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
    const { checkpoints } = this.#options;
    let passed: Promise<void> | undefined;
    const pass = () => {
      passed ??= new Promise((goOn) => checkpoints.pass(attempt, goOn));
      return passed;
    };
    const fates: RecipientFate[] = [];
    try {
      for (const position of positionsOf(attempt.job, frame.envelope.forwardPaths.length)) {
        const pieces = () => new MailData(this.#options.cache, frame).pieces();
        fates.push(await this.#storeOne(frame.envelope, position, pieces, pass));
      }
    } catch (error) {
      if (error instanceof MailDataError) return dataTrouble(attempt.job, error.trouble);
      throw error;
    }
    return outcomeOf(attempt.job, fates, '');
  }

  async #storeOne(
    envelope: Envelope,
    position: number,
    pieces: () => AsyncIterable<readonly Uint8Array[]>,
    pass: () => Promise<void>,
  ): Promise<RecipientFate> {
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
    return { position, kind: OutcomeKind.DEFERRED, reply: refusalOf(result.code) };
  }
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
