// Looks how full CHECKPOINTS is, and says from when on its records must be written again. A stream that is full drops its oldest
// records, and the oldest may be the ones that count: a fence is written once for as long as its owner lives, and a checkpoint is open
// for as long as a host takes to answer a final dot.
//
// Fails: while JetStream does not answer nothing is to be written again, and what was known of the room stays.
import { callApi } from '#libs/nats/api.ts';
import { CHECKPOINTS_STREAM } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';

const ANSWER_WAIT_MS = 2000;
/**
 * Far from full: what is written again in time lies in the younger half, so the older half of what the stream can hold must be
 * overwritten between two looks, 16 MiB, before anything that counts is dropped. A busy cluster writes 2 MB in a second.
 */
const RENEW_FROM_SHARE = 0.25;

interface StreamInfo {
  config?: { max_bytes?: number };
  state?: { bytes?: number; first_seq?: number; last_seq?: number };
}

export class CheckpointRoom {
  readonly #link: Pick<Link, 'request'>;
  #share = 0;
  #renewBelow = 0;
  #isLooking = false;

  constructor(link: Pick<Link, 'request'>) {
    this.#link = link;
  }

  /** Of its max_bytes, 0 to 1; 0 as long as nobody knows. */
  get share(): number {
    return this.#share;
  }

  /** What counts and stands below this sequence is to be written again; 0: nothing is. */
  get renewBelow(): number {
    return this.#renewBelow;
  }

  /** Called about every two seconds. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const call = `STREAM.INFO.${CHECKPOINTS_STREAM}`;
    const answer = await callApi<StreamInfo>(this.#link, call, undefined, ANSWER_WAIT_MS);
    this.#isLooking = false;
    this.#renewBelow = 0;
    if (answer.kind !== 'ok') return;
    const { config, state } = answer.value;
    const { bytes = 0, first_seq: first = 0, last_seq: last = 0 } = state ?? {};
    const octetsMax = config?.max_bytes ?? 0;
    this.#share = octetsMax > 0 ? bytes / octetsMax : 0;
    if (this.#share >= RENEW_FROM_SHARE) this.#renewBelow = Math.ceil((first + last) / 2);
  }
}
