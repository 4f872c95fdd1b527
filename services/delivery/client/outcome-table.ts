// Stage x reply -> what becomes of a recipient and of the session. The one place that decides between trying again and
// giving up. Pure.
import type { SmtpReply } from '#libs/mail/reply.ts';

/** Where in a session something was said, or failed to be said. */
export type Stage =
  | 'connect'
  | 'greeting'
  | 'hello'
  | 'starttls'
  | 'handshake'
  | 'reset'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'dot';

export type Fate = 'accepted' | 'deferred' | 'failed';

/**
 * What a reply means at a stage.
 * - fate: of the recipient at `rcpt` (and at `dot` of LMTP), of all recipients that are not decided elsewhere.
 * - session: goes on, is over, or is over because the host does not serve us now.
 */
export interface Ruling {
  readonly fate: Fate;
  readonly session: 'goes on' | 'over' | 'host down';
}

const ACCEPTED: Ruling = { fate: 'accepted', session: 'goes on' };
const DEFERRED: Ruling = { fate: 'deferred', session: 'goes on' };
const FAILED: Ruling = { fate: 'failed', session: 'goes on' };
const OUT_OF_STEP: Ruling = { fate: 'deferred', session: 'over' };
const HOST_DOWN: Ruling = { fate: 'deferred', session: 'host down' };

/** First digit of the reply that lets a stage go on. */
const GOES_ON_WITH: Record<Stage, number> = {
  connect: 2,
  greeting: 2,
  hello: 2,
  starttls: 2,
  handshake: 2,
  reset: 2,
  mail: 2,
  rcpt: 2,
  data: 3,
  dot: 2,
};

/** Before there is a transaction, a refusal is the host's and never a mail's: permanent or not, the mail waits. */
const BEFORE_MAIL: ReadonlySet<Stage> = new Set(['connect', 'greeting', 'hello', 'starttls', 'handshake']);

/** Rules on what a server replied at `stage`. */
export function ruleOnReply(stage: Stage, code: number): Ruling {
  const digit = Math.floor(code / 100);
  if (digit === GOES_ON_WITH[stage]) return ACCEPTED;
  // The service is not available and the channel closes (RFC 5321 §3.8).
  if (code === 421 || BEFORE_MAIL.has(stage)) return HOST_DOWN;
  // "Too many recipients" of old servers is temporary (§4.5.3.1.10).
  if (code === 552 && stage === 'rcpt') return DEFERRED;
  if (digit === 4) return DEFERRED;
  if (digit === 5) return FAILED;
  return OUT_OF_STEP;
}

/**
 * Rules on a mail before it is offered: a server that says how much it takes need not be asked (RFC 1870 §6.1, RFC 3463
 * 5.3.4). Undefined when the mail fits; `sizeMax` 0 means no limit. Octets.
 */
export function ruleOnSize(
  size: number,
  sizeMax: number,
): { readonly fate: Fate; readonly reply: SmtpReply } | undefined {
  if (sizeMax === 0 || size <= sizeMax) return undefined;
  const text = `the mail of ${size} octets is over the server's limit of ${sizeMax}`;
  return { fate: 'failed', reply: { code: 552, enhanced: '5.3.4', text } };
}

export type Silence = 'lost' | 'timed out' | 'malformed' | 'refused';

const TROUBLE: Record<Silence, { enhanced: string; words: string }> = {
  lost: { enhanced: '4.4.2', words: 'lost connection' },
  'timed out': { enhanced: '4.4.2', words: 'timed out' },
  malformed: { enhanced: '4.5.0', words: 'not an SMTP reply' },
  refused: { enhanced: '4.4.1', words: 'cannot connect' },
};

const DOING: Record<Stage, string> = {
  connect: 'while connecting',
  greeting: 'while waiting for the greeting',
  hello: 'while introducing ourselves',
  starttls: 'while asking for TLS',
  handshake: 'during the TLS handshake',
  reset: 'while resetting',
  mail: 'after MAIL',
  rcpt: 'after RCPT',
  data: 'after DATA',
  dot: 'after the end of the mail data',
};

/** Our own words for a session in which no proper reply came; always temporary. `detail` may be ''. */
export function replyOfSilence(stage: Stage, silence: Silence, detail: string): SmtpReply {
  const { enhanced, words } = TROUBLE[silence];
  const what = silence === 'refused' ? words : `${words} ${DOING[stage]}`;
  return { code: 0, enhanced, text: detail === '' ? what : `${what}: ${detail}` };
}

/** Milliseconds to wait at each stage (RFC 5321 §4.5.3.2; connect and handshake are ours). */
export const STAGE_TIMEOUT_MS: Record<Stage, number> = {
  connect: 30_000,
  greeting: 300_000,
  hello: 300_000,
  starttls: 120_000,
  handshake: 60_000,
  reset: 20_000,
  mail: 300_000,
  rcpt: 300_000,
  data: 120_000,
  dot: 600_000,
};

/** Between two pieces of mail data that the server takes (§4.5.3.2.5). */
export const DATA_BLOCK_TIMEOUT_MS = 180_000;
