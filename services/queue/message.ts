// One accepted mail in the memory of its partition's owner, and the two translations of it: from a pack's index, and
// to and from the state that is stored once there is something to remember.
import type { MailState, PackEntry, RecipientState, Reply, SpoolRef } from '#proto/postrider/v1/mail.ts';
import { RecipientPhase as StoredPhase } from '#proto/postrider/v1/mail.ts';
import type { Interned } from './interned.ts';
import { packTrace, unpackTrace } from './trace-text.ts';

/**
 * routing: waits for the resolver. ready: waits for its site's window. attempting: leased to a delivery worker.
 * waiting: deferred until nextAttemptAtMs. held: only an operator moves it. failed: not yet reported. done: has a fate.
 */
export type RecipientPhase = 'routing' | 'ready' | 'attempting' | 'waiting' | 'held' | 'failed' | 'done';

export type Fate = 'none' | 'delivered' | 'relayed' | 'failed' | 'expired';

/** One forward-path together with its fate; its position in the array is its position in Envelope.forward_paths. */
export interface Recipient {
  domain: string;
  phase: RecipientPhase;
  fate: Fate;
  siteKey: string;
  /** Deferrals so far. */
  attempts: number;
  /** On the owner's clock, as all times in memory but acceptedAtMs are; 0: at once, or never. */
  nextAttemptAtMs: number;
  lastAttemptAtMs: number;
  lastReply: Reply;
  inDoubt: boolean;
  /** Since when this owner owes it an attempt; 0: since it has the mail. TRIED, REFUSED: see below. */
  owedSinceMs: number;
}

/** Nothing is owed until it is due again: what became of the last attempt is known to this owner. */
export const TRIED = -1;
/** Nothing is owed any more: its site would not be tried. */
export const REFUSED = -2;

/** active: some recipient is being routed or attempted. reporting: a DSN is being stored. resting: only timers move it. */
export type MessagePhase = 'active' | 'reporting' | 'resting' | 'settled';

export interface Message {
  readonly queueId: string;
  /** Milliseconds since 1970 by the clocks of those who accepted and stored it: shown and stored, never acted on. */
  readonly acceptedAtMs: number;
  /** Its age counts from here: a time on the owner's clock that was over when the owner met the mail. */
  ageFromMs: number;
  readonly nullReversePath: boolean;
  readonly size: number;
  /** Trace context of the mail, by `unpackTrace`; "" when it has none. */
  readonly trace: string;
  phase: MessagePhase;
  /** The owner was told that it stays: before that somebody is sure to look at it again. */
  hasStayed: boolean;
  /** Where the frame is now: in its pack, or in a record of its own. */
  ref: SpoolRef;
  recipients: Recipient[];
  delayReported: boolean;
  /** The DSN being stored while reporting. */
  reporting: 'none' | 'failure' | 'delay';
}

/** No reply was heard yet. */
export const NO_REPLY: Reply = Object.freeze({ code: 0, enhanced: '', text: '', host: '' });

/** True when a host or we said something. */
export function isHeard(reply: Reply): boolean {
  return reply.code !== 0 || reply.text !== '';
}

/** Every recipient of a new mail waits to be started. */
export function recipientsOf(domains: string[]): Recipient[] {
  return domains.map(newRecipient);
}

function newRecipient(domain: string): Recipient {
  return {
    domain,
    phase: 'waiting',
    fate: 'none',
    siteKey: '',
    attempts: 0,
    nextAttemptAtMs: 0,
    lastAttemptAtMs: 0,
    lastReply: NO_REPLY,
    inDoubt: false,
    owedSinceMs: 0,
  };
}

/** One domain per recipient, in the order of the envelope. Empty when the index does not list them. */
export function domainsOf(entry: PackEntry, interned: Interned): string[] {
  const domains: string[] = [];
  for (const run of entry.domains) {
    const domain = interned.text(run.domain);
    for (let i = 0; i < run.count; i++) domains.push(domain);
  }
  return domains;
}

/** A mail that was just accepted: every recipient waits to be started. Its age counts from acceptance until `meet`. */
export function messageFromPack(
  entry: PackEntry,
  ref: SpoolRef,
  domains: string[],
  acceptedAtMs = entry.acceptedAtMs,
): Message {
  return {
    queueId: entry.queueId,
    acceptedAtMs,
    ageFromMs: acceptedAtMs,
    nullReversePath: entry.nullReversePath,
    size: entry.size,
    trace: packTrace(entry.trace),
    phase: 'resting',
    hasStayed: false,
    ref,
    recipients: recipientsOf(domains),
    delayReported: false,
    reporting: 'none',
  };
}

const FATE_OF: Record<number, Fate> = {
  [StoredPhase.DELIVERED]: 'delivered',
  [StoredPhase.RELAYED]: 'relayed',
  [StoredPhase.FAILED]: 'failed',
  [StoredPhase.EXPIRED]: 'expired',
};

const STORED_OF: Record<Fate, StoredPhase> = {
  none: StoredPhase.WAITING,
  delivered: StoredPhase.DELIVERED,
  relayed: StoredPhase.RELAYED,
  failed: StoredPhase.FAILED,
  expired: StoredPhase.EXPIRED,
};

function phaseOf(stored: RecipientState, fate: Fate): RecipientPhase {
  if (stored.phase === StoredPhase.HELD) return 'held';
  if (fate === 'none') return 'waiting';
  const handedOn = fate === 'delivered' || fate === 'relayed';
  return handedOn || stored.reported ? 'done' : 'failed';
}

function recipientFromState(stored: RecipientState, interned: Interned): Recipient {
  const fate = FATE_OF[stored.phase] ?? 'none';
  return {
    domain: interned.text(stored.domain),
    phase: phaseOf(stored, fate),
    fate,
    siteKey: interned.text(stored.lastSite),
    attempts: stored.attempts,
    nextAttemptAtMs: stored.nextAttemptAtMs,
    lastAttemptAtMs: stored.lastAttemptAtMs,
    lastReply: stored.lastReply === undefined ? NO_REPLY : interned.reply(stored.lastReply),
    inDoubt: stored.inDoubt,
    owedSinceMs: 0,
  };
}

/**
 * The mail as its last owner remembered it; what was active then waits and is due by its stored time. All times are on the clock of
 * who stored them until `meet`.
 */
export function messageFromState(state: MailState, interned: Interned): Message {
  return {
    queueId: state.queueId,
    acceptedAtMs: state.acceptedAtMs,
    ageFromMs: state.acceptedAtMs,
    nullReversePath: state.nullReversePath,
    size: state.size,
    trace: packTrace(state.trace),
    phase: 'resting',
    hasStayed: false,
    ref: { ...state.ref!, stream: interned.text(state.ref!.stream) },
    recipients: state.recipients.map((stored) => recipientFromState(stored, interned)),
    delayReported: state.delayReported,
    reporting: 'none',
  };
}

/** What the owner that meets a mail knows of time. */
export interface Meeting {
  nowMs: number;
  fromWall: (wallMs: number) => number;
  /** After so many deferrals: a time of an earlier owner's clock is never further ahead than this. */
  waitMsMax: (deferrals: number) => number;
}

/** A wall clock that says less was never set: there was no Postrider. */
const CLOCKS_SET_MS = Date.UTC(2020, 0);

/**
 * Puts the times of a mail on the clock of the owner that meets it: it cannot have been accepted after that, and what waits for a
 * time waits no longer than the schedule says. The age of a mail that was accepted by clocks that were not set is not known: it counts
 * from now, unless ours is not set either.
 */
export function meet(message: Message, { nowMs, fromWall, waitMsMax }: Meeting): void {
  const isAgeKnown = message.acceptedAtMs >= CLOCKS_SET_MS || fromWall(CLOCKS_SET_MS) > nowMs;
  message.ageFromMs = isAgeKnown ? Math.min(nowMs, fromWall(message.acceptedAtMs)) : nowMs;
  for (const recipient of message.recipients) {
    const { attempts, nextAttemptAtMs, lastAttemptAtMs } = recipient;
    if (nextAttemptAtMs > 0) {
      recipient.nextAttemptAtMs = Math.min(nowMs + waitMsMax(attempts), fromWall(nextAttemptAtMs));
    }
    if (lastAttemptAtMs > 0) recipient.lastAttemptAtMs = Math.min(nowMs, fromWall(lastAttemptAtMs));
  }
}

/** What must be remembered of the mail; `toWall` puts a time of the owner's clock on the wall clock. */
export function stateOf(message: Message, toWall: (atMs: number) => number): MailState {
  const stored = (atMs: number) => (atMs > 0 ? Math.max(1, toWall(atMs)) : 0);
  return {
    queueId: message.queueId,
    ref: message.ref,
    acceptedAtMs: message.acceptedAtMs,
    nullReversePath: message.nullReversePath,
    size: message.size,
    trace: unpackTrace(message.trace),
    recipients: message.recipients.map((recipient) => ({
      domain: recipient.domain,
      phase: recipient.phase === 'held' ? StoredPhase.HELD : STORED_OF[recipient.fate],
      attempts: recipient.attempts,
      nextAttemptAtMs: recipient.phase === 'waiting' ? stored(recipient.nextAttemptAtMs) : 0,
      lastReply: isHeard(recipient.lastReply) ? recipient.lastReply : undefined,
      lastSite: recipient.siteKey,
      lastAttemptAtMs: stored(recipient.lastAttemptAtMs),
      inDoubt: recipient.inDoubt,
      reported: recipient.phase === 'done' && recipient.fate !== 'delivered' && recipient.fate !== 'relayed',
    })),
    delayReported: message.delayReported,
    endedAttempts: [],
  };
}
