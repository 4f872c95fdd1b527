// How large an outcome is when it is told, and how it becomes smaller when it is too large. Pure.
//
// Facts are kept before words: what becomes of each recipient is exact whatever is cut. An outcome always fits: ingress lets no more
// recipients into a mail than 20 octets each of max_payload (libs/nats/payload.ts), and when every word is cut a recipient takes 16.
import { gatheredMax, singleMax } from '#libs/nats/payload.ts';
import { Outcome, type OutcomeKind, type RecipientOutcome } from '#proto/postrider/v1/job.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';

/** An outcome without its ids, words and recipients: at most. */
const OUTCOME_OCTETS = 128;
const REPLY_OCTETS = 16;
/** Position, kind, and what they are wrapped in. */
const RECIPIENT_OCTETS = 12;
const POSITION_OCTETS = 3;
/** What people still understand. */
const TEXT_SHORT = 100;

/** Octets of the outcome in a message: at least what it takes. */
export function outcomeOctets(outcome: Outcome): number {
  const { attemptId, queueId, tls, reply, recipients, jobRecipients } = outcome;
  let octets = OUTCOME_OCTETS + attemptId.length + queueId.length + tls.length + replyOctets(reply);
  octets += POSITION_OCTETS * jobRecipients.length;
  for (const one of recipients) octets += RECIPIENT_OCTETS + replyOctets(one.reply);
  return octets;
}

function replyOctets(reply: Reply | undefined): number {
  if (reply === undefined) return 0;
  return REPLY_OCTETS + Buffer.byteLength(reply.text) + reply.enhanced.length + reply.host.length;
}

/** Less and less of a reply. */
const CUTS: readonly ((reply: Reply) => Reply)[] = [
  (reply) => reply,
  (reply) => (reply.text.length > TEXT_SHORT ? { ...reply, text: reply.text.slice(0, TEXT_SHORT) } : reply),
  (reply) => ({ ...reply, text: '' }),
  ({ code, enhanced }) => ({ code, enhanced, text: '', host: '' }),
  ({ code }) => ({ code, enhanced: '', text: '', host: '' }),
];
/** The first of these are worth it for a message of the usual size; the others are for what would not fit at all. */
const CUTS_FOR_EASE = 3;

/**
 * An outcome that lists all its recipients or none, as it is told to where a message may have `payloadMax` octets: of many results the
 * commonest is said once, and when that is not enough the words of replies are cut.
 */
export function fitted(outcome: Outcome, payloadMax: number): Outcome {
  const ease = gatheredMax(payloadMax);
  return cutDown(outcome, { ease, most: singleMax(payloadMax) }, commonestOf);
}

/** The same for one that was fitted before, perhaps to a larger message: what it does not list has the result that it has itself. */
export function refitted(outcome: Outcome, payloadMax: number): Outcome {
  const most = singleMax(payloadMax);
  return cutDown(outcome, { ease: most, most }, ({ kind, reply }) => ({ kind, reply }));
}

interface Result {
  kind: OutcomeKind;
  reply: Reply | undefined;
}

/** Cuts for ease until it has `ease` octets, and then what must be until it has `most`. */
function cutDown(
  outcome: Outcome,
  { ease, most }: { ease: number; most: number },
  commonOf: (cut: Outcome) => Result,
): Outcome {
  if (outcomeOctets(outcome) <= ease) return outcome;
  let cut = outcome;
  for (const [step, cutReply] of CUTS.entries()) {
    cut = withReplies(outcome, cutReply);
    const common = commonOf(cut);
    const said = keyOf(common);
    cut = { ...cut, ...common, recipients: cut.recipients.filter((one) => keyOf(one) !== said) };
    if (Outcome.encode(cut).finish().length <= (step < CUTS_FOR_EASE - 1 ? ease : most)) break;
  }
  return cut;
}

/** A recipient without a reply has that of the outcome. */
function withReplies(outcome: Outcome, cutReply: (reply: Reply) => Reply): Outcome {
  const reply = outcome.reply && cutReply(outcome.reply);
  const recipients = outcome.recipients.map(
    (one): RecipientOutcome => ({ ...one, reply: one.reply === undefined ? reply : cutReply(one.reply) }),
  );
  return { ...outcome, reply, recipients };
}

/** The result that most recipients have; that of the outcome when it lists none. */
function commonestOf({ kind, reply, recipients }: Outcome): Result {
  const counts = new Map<string, number>();
  let commonest: Result = { kind, reply };
  let most = 0;
  for (const one of recipients) {
    const key = keyOf(one);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count <= most) continue;
    most = count;
    commonest = { kind: one.kind, reply: one.reply };
  }
  return commonest;
}

function keyOf({ kind, reply }: Result): string {
  return reply === undefined
    ? `${kind}`
    : `${kind} ${reply.code} ${reply.enhanced} ${reply.host} ${reply.text}`;
}
