// What the shell knows of a message beside its own state: where it stands in its pack, what of it is stored, and which
// workers wait to hear that their outcome was acted on.
import type { LiveSpan } from '#libs/telemetry/tracing.ts';
import type { Chunk } from '#proto/postrider/v1/mail.ts';
import type { Message } from './message.ts';

export interface PendingAck {
  worker: string;
  attemptId: string;
}

export interface Custody {
  readonly message: Message;
  /** Stream sequence of the pack, and the position in its index; sequence 0 when its settle line is stored. */
  packSequence: number;
  readonly packEntry: number;
  readonly startedAtMs: number;
  /** It has a record in QUEUE, and its data a record in STORE. */
  stored: boolean;
  /** Its settle line was handed to the pack ledger. */
  lineGiven: boolean;
  /** It waits in the remember loop. */
  dirty: boolean;
  /** Outcomes that are applied and not yet stored. */
  acks: PendingAck[];
  span: LiveSpan | undefined;
  /** Pieces of a large mail, read when it is settled, to be removed once that is stored. */
  chunks: Promise<Chunk[]> | undefined;
}

export function newCustody(
  message: Message,
  packSequence: number,
  packEntry: number,
  nowMs: number,
): Custody {
  return {
    message,
    packSequence,
    packEntry,
    startedAtMs: nowMs,
    stored: false,
    lineGiven: false,
    dirty: false,
    acks: [],
    span: undefined,
    chunks: undefined,
  };
}
