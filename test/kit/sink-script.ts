// How the sink behaves to a recipient, as its local part says:
//
//   450@            RCPT is answered with 450 (any code)
//   550-words-7@    the same with 450 characters of words, others for each number
//   450-then-250@   450 the first time, 250 after that (as many steps as wanted)
//   greylist@       450 to each pair of sender and recipient the first time
//   data-550@       550 to the final dot (LMTP: for this recipient)
//   data-450-then-250@
//   start-451@      451 to DATA
//   drop-at-rcpt@   the connection is cut instead of an answer
//   drop-at-data@   cut in the middle of the mail data
//   drop-after-dot@ the mail is taken and the connection cut without an answer
//   drop-once-after-dot@  the same, only the first time
//   slow-after-dot@ answered after a second, or as MailBehaviour says
//   hang-at-dot@    never answered
//   tls@            530 without TLS
//
// A sender whose local part is a code of class 4 or 5 gets that code to MAIL.

/** What the sink does to everybody. */
export interface MailBehaviour {
  /** Code of the greeting; '220' is a welcome, '0' says nothing at all. */
  greeting: string;
  /** Before each answer. */
  delayMs: number;
  /** Before the answer to slow-after-dot@. */
  slowMs: number;
  /** More than so many get 421. */
  connectionsMax: number;
}

export type RecipientScript = { reply: string; afterData: AfterData };
export type AfterData =
  | { kind: 'reply'; reply: string }
  | { kind: 'slow'; reply: string }
  | { kind: 'refuse-start'; reply: string }
  | { kind: 'drop-in-data' | 'drop-after-dot' | 'hang' };

export interface ScriptQuestion {
  reversePath: string;
  forwardPath: string;
  secured: boolean;
  /** Counts how often a key was seen before, and counts it. */
  timesBefore: (key: string) => number;
}

const TAKEN: AfterData = { kind: 'reply', reply: '250 2.0.0 taken' };
const WELCOME = '250 2.1.5 ok';

/** What happens to one RCPT; undefined cuts the connection. */
export function scriptOf(question: ScriptQuestion): RecipientScript | undefined {
  const { reversePath, forwardPath, secured, timesBefore } = question;
  const local = forwardPath.slice(0, forwardPath.lastIndexOf('@'));
  const step = (codes: string): string => {
    const steps = codes.split('-then-');
    return steps[Math.min(timesBefore(forwardPath), steps.length - 1)]!;
  };
  const wordy = /^(\d{3})-words-(\d+)$/.exec(local);
  if (wordy !== null) return { reply: wordyReply(wordy[1]!, wordy[2]!), afterData: TAKEN };
  if (/^\d{3}(-then-\d{3})*$/.test(local)) return { reply: replyOf(step(local)), afterData: TAKEN };
  if (local === 'greylist' && timesBefore(`${reversePath} ${forwardPath}`) === 0) {
    return { reply: '450 4.7.1 greylisted', afterData: TAKEN };
  }
  if (local === 'tls' && !secured) return { reply: '530 5.7.0 must issue STARTTLS first', afterData: TAKEN };
  if (local === 'drop-at-rcpt') return undefined;
  return { reply: WELCOME, afterData: afterDataOf(local, step) };
}

function afterDataOf(local: string, step: (codes: string) => string): AfterData {
  if (local === 'drop-at-data') return { kind: 'drop-in-data' };
  if (local === 'drop-after-dot') return { kind: 'drop-after-dot' };
  if (local === 'drop-once-after-dot') {
    return step('1-then-2') === '1' ? { kind: 'drop-after-dot' } : TAKEN;
  }
  if (local === 'hang-at-dot') return { kind: 'hang' };
  if (local === 'slow-after-dot') return { kind: 'slow', reply: '250 2.0.0 taken' };
  const coded = /^(data|start)-(\d{3}(?:-then-\d{3})*)$/.exec(local);
  if (coded === null) return TAKEN;
  const reply = replyOf(step(coded[2]!));
  return coded[1] === 'start' && !reply.startsWith('2')
    ? { kind: 'refuse-start', reply }
    : { kind: 'reply', reply };
}

/** "550" with an enhanced status and words. */
export function replyOf(code: string): string {
  const words: Record<string, string> = {
    '2': '2.1.5 ok',
    '4': '4.2.1 not now, as asked',
    '5': '5.1.1 no, as asked',
  };
  return `${code} ${words[code[0]!] ?? 'x'}`;
}

const WORDS_LENGTH = 450;

function wordyReply(code: string, number: string): string {
  return `${code} ${code[0]}.1.1 ${`no mailbox ${number} `.padEnd(WORDS_LENGTH, `nor ${number} `)}`;
}
