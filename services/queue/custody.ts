// What the shell knows of a message beside its own state: where it stands in its pack, what of it is stored, and which
// workers wait to hear that their outcome was acted on.
import type { LiveSpan } from '#libs/telemetry/tracing.ts';
import type { Chunk, SpoolRef, TraceContext } from '#proto/postrider/v1/mail.ts';
import type { Message } from './message.ts';
import type { Timed } from './timers.ts';

export interface PendingAck {
  worker: string;
  attemptId: string;
  /** Recipients that it was for; all of the mail when absent. */
  positions?: readonly number[];
  /** It deferred all of them: it need not wait when there are many. */
  isDeferral?: boolean;
  /** Ends when the outcome is stored; absent when the attempt's trace is not kept. */
  span?: LiveSpan | undefined;
}

/**
 * The mail's line in the settle log. needed: the mail is in its pack and nowhere else. given: it is being stored. stored: the pack
 * may go.
 */
export type LineState = 'needed' | 'given' | 'stored';

export interface Custody extends Timed {
  readonly message: Message;
  /** Stream sequence of the pack, and the position in its index; sequence 0 when its line was stored before. */
  packSequence: number;
  packEntry: number;
  readonly startedAtMs: number;
  /** Number of the last audit that found it at the desk or out with a worker. */
  foundInRound: number;
  line: LineState;
  /** Its data is in STORE, its state in QUEUE: what the pack has is not needed to find it again. */
  isStored: boolean;
  /** Where its data was copied to while its state is not stored yet. */
  copy: SpoolRef | undefined;
  /** Stream sequence of its state in QUEUE when that is known to be the only one; else UNSURE. */
  stateSequence: number;
  /** Outcomes that are applied and not yet stored. */
  acks: readonly PendingAck[];
  span: LiveSpan | undefined;
  /** What attempts hang on: the last span, also when it has ended. */
  spanContext: TraceContext | undefined;
  /** Pieces of a large mail, read when it is settled, to be removed once that is stored. */
  chunks: Promise<Chunk[]> | undefined;
  /** Packs of its reports: they stay until it is stored that the report was made. */
  reportPacks: readonly number[];
}

/** Nothing is stored of it in QUEUE that we know of. */
const NO_STATE = 0;
/** More than one state of it may be stored, or one whose sequence we do not know. */
export const UNSURE = -1;

const NONE: readonly never[] = Object.freeze([]);

export function newCustody(
  message: Message,
  pack: { sequence: number; entry: number },
  nowMs: number,
): Custody {
  return {
    message,
    packSequence: pack.sequence,
    packEntry: pack.entry,
    startedAtMs: nowMs,
    foundInRound: 0,
    line: 'needed',
    isStored: false,
    copy: undefined,
    stateSequence: NO_STATE,
    acks: NONE,
    span: undefined,
    spanContext: undefined,
    chunks: undefined,
    reportPacks: NONE,
    wakeAtMs: 0,
    heapIndex: -1,
  };
}

/** Takes the acknowledgements that wait. */
export function takeAcks(custody: Custody): readonly PendingAck[] {
  const { acks } = custody;
  custody.acks = NONE;
  return acks;
}

/** Takes the packs that were kept for the mail's reports. */
export function takeReportPacks(custody: Custody): readonly number[] {
  const { reportPacks } = custody;
  custody.reportPacks = NONE;
  return reportPacks;
}
