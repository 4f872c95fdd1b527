// Decides the life of one accepted mail: from the start of its recipients to the moment it may be settled. Never
// waits, never reads a clock: time arrives in inputs, wake-ups leave as effects. Mutates the message in place.
//
//    due, flushed          routed             outcome, returned, lost
//  resting ──────────▶ active (routing ─▶ ready ─▶ attempting) ──▶ rest: every recipient waits, failed or done
//     ▲                                                                 │ failed or delayed     │ all done
//     └────────────── wakeAt ◀── remembered ── reported ◀── reporting ◀─                        ▼ settled
//
// A recipient that waits is started when it is due, whatever the others do.
//
// Invariants:
//  M1  A message is settled only when every recipient is done (promise 2), or its content is gone with whom to tell.
//  M2  A failed or expired recipient becomes done only after its DSN is stored, or when the reverse-path is null.
//  M3  At most one attempt is wanted for a recipient; a fate once given never changes.
//  M4  Every message has a wake-up at its next attempt or review (delay warning, expiry, the end of a hold), whichever is first;
//      except one that is settled, being reported, or active and still to be told that it stays (which comes once for each).
//  M5  What must not be forgotten (a deferral, a partial success, a hold, its end) is followed by `remember`.
//  M6  A failure is reported as soon as no answer of a worker or the resolver is awaited.
//  M7  However old a mail is, a recipient expires only when this owner knows what became of an attempt since it was last due: an
//      outcome, the resolver's word, or a site that would not be tried (suspended) while it waited for it. Until then it is
//      started, or stays. What is held expires at the end of the longest hold.
import type { Site } from '#proto/postrider/v1/route.ts';
import type { Message, Recipient } from './message.ts';
import type { MessageInput } from './message-inputs.ts';
import {
  duePositions,
  ending,
  isExpired,
  isLate,
  type MessagePolicy,
  mustReport,
  nextLookAtMs,
  startable,
} from './message-reviews.ts';
import {
  adopt,
  applyResult,
  attempting,
  CONTENT_LOST,
  expire,
  failUndelivered,
  hasFailed,
  holdDoubted,
  isActive,
  isOut,
  type PositionResult,
  positionsIn,
  settleUntold,
  stepBack,
} from './recipient-steps.ts';

export type MessageEffect =
  /** The resolver may answer at once, while this is performed: it is always the last effect. */
  | { kind: 'resolve'; domains: string[] }
  | { kind: 'enqueue'; site: Site; positions: number[] }
  /** As enqueue, but not at once: what is given back must not come back in a tight loop. */
  | { kind: 'requeue'; site: Site; positions: number[] }
  | { kind: 'remember' }
  /** It has been here for long, with a worker perhaps: its pack should not have to stay for it. */
  | { kind: 'leavePack' }
  /** The one next look at it; takes the place of an earlier one. */
  | { kind: 'wakeAt'; atMs: number }
  | { kind: 'report'; report: 'failure' | 'delay'; positions: number[] }
  | { kind: 'settle' };

export type { MessageInput, RouteResult } from './message-inputs.ts';

const NOTHING: MessageEffect[] = [];

/** Feeds one input; returns what the shell must do, in order. */
export function receive(message: Message, input: MessageInput, policy: MessagePolicy): MessageEffect[] {
  switch (input.kind) {
    case 'due':
      return message.phase === 'active'
        ? whileActive(message, input, policy)
        : whileResting(message, input.nowMs, policy);
    case 'stays':
      return whenStaying(message, input.nowMs, policy);
    case 'flushed':
      return flush(message, input, policy);
    case 'routed':
      return whileRouting(message, input, policy);
    case 'dispatched':
      for (const position of input.positions) message.recipients[position]!.phase = 'attempting';
      return NOTHING;
    case 'adopted':
      adopt(message, input.positions, input.siteKey);
      return NOTHING;
    case 'outcome':
      return whileAttempting(message, input, policy);
    case 'late':
      return learnLate(message, input, policy);
    case 'returned':
      return whenReturned(message, input, policy);
    case 'lost':
      return whenLost(message, input, policy);
    case 'doubted':
      return whenDoubted(message, input, policy);
    case 'rerouted':
      return [...look(message, input.nowMs, policy), ...startRouting(message, input.positions)];
    case 'reported':
      return whileReporting(message, input.nowMs, policy);
    case 'contentLost':
      return whenContentLost(message, input, policy);
  }
}

function whileResting(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  if (message.phase !== 'resting') return NOTHING;
  const isQuiet = !hasFailed(message) && ending(message, nowMs, policy).length === 0;
  const due = isQuiet ? startable(message, nowMs, policy) : [];
  if (due.length > 0) return start(message, due, nowMs, policy);
  const waits = message.recipients.some(({ phase }) => phase === 'waiting' || phase === 'held');
  // Woken early, or found by a new owner: nothing was learned that would have to be stored.
  if (isQuiet && waits && !isLate(message, nowMs, policy)) return look(message, nowMs, policy);
  return rest(message, nowMs, policy);
}

/**
 * Recipients that wait for a site expire too: they step back, and are routed again if there is still time (M4). Nothing steps back
 * in vain: it would lose its turn at the site.
 */
function whileActive(
  message: Message,
  { nowMs, refusedUntilMs }: MessageInput & { kind: 'due' },
  policy: MessagePolicy,
): MessageEffect[] {
  const isOutWithWorker = positionsIn(message, 'attempting').length > 0;
  if (!isOutWithWorker && mustReport(message, { nowMs, refusedUntilMs }, policy)) {
    stepBack(message, nowMs);
    return rest(message, nowMs, policy);
  }
  const due = duePositions(message, nowMs);
  return due.length > 0 ? start(message, due, nowMs, policy) : look(message, nowMs, policy);
}

/** The last look is over: this is the next one. */
function look(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  const atMs = nextLookAtMs(message, nowMs, policy);
  return atMs === Number.POSITIVE_INFINITY ? NOTHING : [{ kind: 'wakeAt', atMs }];
}

function start(
  message: Message,
  positions: readonly number[],
  nowMs: number,
  policy: MessagePolicy,
): MessageEffect[] {
  for (const position of positions) message.recipients[position]!.owedSinceMs = nowMs;
  const resolve = startRouting(message, positions);
  return [...look(message, nowMs, policy), ...resolve];
}

/** From now on it always has a wake-up (M4). */
function whenStaying(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  message.hasStayed = true;
  if (message.phase === 'reporting') return [{ kind: 'leavePack' }];
  if (message.phase !== 'active') return NOTHING;
  // It may have been young for longer than its review waits.
  const isDue = isLate(message, nowMs, policy) || isExpired(message, nowMs, policy);
  const review: MessageEffect[] = isDue ? [{ kind: 'wakeAt', atMs: nowMs }] : look(message, nowMs, policy);
  return [{ kind: 'leavePack' }, ...review];
}

function flush(
  message: Message,
  { nowMs, domain }: MessageInput & { kind: 'flushed' },
  policy: MessagePolicy,
): MessageEffect[] {
  if (message.phase === 'reporting' || message.phase === 'settled') return NOTHING;
  const positions: number[] = [];
  let released = 0;
  message.recipients.forEach((recipient, position) => {
    const asked = domain === '' || recipient.domain === domain;
    if (!asked || (recipient.phase !== 'waiting' && recipient.phase !== 'held')) return;
    positions.push(position);
    if (recipient.phase === 'held') released += 1;
    // Who wants it tried has decided what the doubt was held for.
    recipient.inDoubt = false;
  });
  if (positions.length === 0) return NOTHING;
  const started = start(message, positions, nowMs, policy);
  return released === 0 ? started : [{ kind: 'remember' }, ...started];
}

function startRouting(message: Message, positions: readonly number[]): MessageEffect[] {
  message.phase = 'active';
  const domains = new Set<string>();
  for (const position of positions) {
    const recipient = message.recipients[position]!;
    recipient.phase = 'routing';
    domains.add(recipient.domain);
  }
  return [{ kind: 'resolve', domains: [...domains] }];
}

function whileRouting(
  message: Message,
  { routes, nowMs }: MessageInput & { kind: 'routed' },
  policy: MessagePolicy,
): MessageEffect[] {
  // It stepped back meanwhile: a report is under way, or nothing is left to be routed.
  if (message.phase !== 'active') return NOTHING;
  const bySite = new Map<string, { site: Site; positions: number[] }>();
  let ended = 0;
  message.recipients.forEach((recipient, position) => {
    const route = recipient.phase === 'routing' ? routes.get(recipient.domain) : undefined;
    if (route === undefined) return;
    if (route.kind !== 'site') {
      ended += 1;
      applyResult(message, recipient, { result: route.kind, reply: route.reply }, { nowMs, policy });
      return;
    }
    recipient.phase = 'ready';
    recipient.siteKey = route.site.key;
    const group = bySite.get(route.site.key);
    if (group) group.positions.push(position);
    else bySite.set(route.site.key, { site: route.site, positions: [position] });
  });
  const learned = ended > 0 || owesReport(message) ? restOrRemember(message, nowMs, policy) : NOTHING;
  // After a failure all that is ready may have stepped back.
  if (message.phase !== 'active') return learned;
  const effects = [...learned];
  for (const group of bySite.values()) effects.push({ kind: 'enqueue', ...group });
  return effects;
}

function whileAttempting(
  message: Message,
  { results, nowMs }: MessageInput & { kind: 'outcome' },
  policy: MessagePolicy,
): MessageEffect[] {
  let heard = 0;
  for (const one of results) {
    const recipient = message.recipients[one.position];
    if (recipient?.phase !== 'attempting') continue;
    heard += 1;
    // Another attempt may have delivered what this one has not: what is to be held is not tried again.
    recipient.inDoubt &&= one.result === 'deferred' && policy.inDoubt === 'hold';
    recipient.lastAttemptAtMs = nowMs;
    applyResult(message, recipient, one, { nowMs, policy });
    holdDoubted(message, one.position, policy);
  }
  return heard === 0 ? NOTHING : restOrRemember(message, nowMs, policy);
}

/** What is said to be done must not be done again, even by a worker that was thought dead, and even while another tries (M3). */
function learnLate(
  message: Message,
  { results, nowMs }: MessageInput & { kind: 'late' },
  policy: MessagePolicy,
): MessageEffect[] {
  let learned = 0;
  for (const one of results) {
    const recipient = message.recipients[one.position];
    if (recipient === undefined || recipient.fate !== 'none' || !isBelieved(message, recipient, one))
      continue;
    learned += 1;
    recipient.inDoubt = false;
    recipient.lastAttemptAtMs = nowMs;
    applyResult(message, recipient, one, { nowMs, policy });
  }
  if (learned === 0) return NOTHING;
  return message.phase === 'reporting' ? [{ kind: 'remember' }] : restOrRemember(message, nowMs, policy);
}

/** Of one that was given up. */
function isBelieved(message: Message, recipient: Recipient, { result }: PositionResult): boolean {
  if (result === 'delivered' || result === 'relayed') return true;
  // The attempt that is out, or the next one, will tell a failure again; in a report that is under way it would not be (M2).
  return result === 'failed' && recipient.phase !== 'attempting' && message.phase !== 'reporting';
}

function whenReturned(
  message: Message,
  { positions, site, nowMs }: MessageInput & { kind: 'returned' },
  policy: MessagePolicy,
): MessageEffect[] {
  const all = attempting(message, positions);
  const back = all.filter((position) => !holdDoubted(message, position, policy));
  if (all.length === 0) return NOTHING;
  if (back.length === 0) return restOrRemember(message, nowMs, policy);
  const again = toSite(message, back, site, 'requeue');
  if (owesReport(message)) return restOrRemember(message, nowMs, policy);
  const review = look(message, nowMs, policy);
  return message.hasStayed ? [{ kind: 'leavePack' }, ...review, ...again] : [...review, ...again];
}

function whenLost(
  message: Message,
  lost: MessageInput & { kind: 'lost' },
  policy: MessagePolicy,
): MessageEffect[] {
  const positions = attempting(message, lost.positions);
  if (positions.length === 0) return NOTHING;
  if (lost.inDoubt) for (const position of positions) message.recipients[position]!.inDoubt = true;
  const again = positions.filter((position) => !holdDoubted(message, position, policy));
  const effects = again.length === 0 ? NOTHING : toSite(message, again, lost.site, 'enqueue');
  if (again.length === 0 || owesReport(message)) return restOrRemember(message, lost.nowMs, policy);
  return [...look(message, lost.nowMs, policy), ...effects];
}

/** What is out goes on; it is held when it comes back without having delivered. */
function whenDoubted(
  message: Message,
  { positions, nowMs }: MessageInput & { kind: 'doubted' },
  policy: MessagePolicy,
): MessageEffect[] {
  let held = 0;
  for (const position of positions) {
    const recipient = message.recipients[position];
    if (recipient === undefined || recipient.fate !== 'none') continue;
    recipient.inDoubt = true;
    if (recipient.phase !== 'attempting' && holdDoubted(message, position, policy)) held += 1;
  }
  if (held === 0) return NOTHING;
  return message.phase === 'reporting' ? [{ kind: 'remember' }] : restOrRemember(message, nowMs, policy);
}

/** Back to where it waited before; the site of an attempt that an earlier owner began is not known any more. */
function toSite(
  message: Message,
  positions: number[],
  site: Site | undefined,
  kind: 'enqueue' | 'requeue',
): MessageEffect[] {
  if (site === undefined) return startRouting(message, positions);
  for (const position of positions) message.recipients[position]!.phase = 'ready';
  return [{ kind, site, positions }];
}

/** A failure is to be reported, and nothing is awaited that could be reported with it (M6). */
function owesReport(message: Message): boolean {
  return hasFailed(message) && !isOut(message);
}

/** While some recipients are still out, what was learned of the others must survive (M5, M6). */
function restOrRemember(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  if (owesReport(message)) stepBack(message, nowMs);
  if (!isActive(message)) return rest(message, nowMs, policy);
  return [{ kind: 'remember' }, ...look(message, nowMs, policy)];
}

/** Nothing is out: report what is to be reported, then settle or wait. */
function rest(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  expire(ending(message, nowMs, policy));
  const failed = positionsIn(message, 'failed');
  if (failed.length > 0) return report(message, 'failure', failed, { nowMs, policy });
  const late = isLate(message, nowMs, policy) ? positionsIn(message, 'waiting') : [];
  if (late.length > 0) return report(message, 'delay', late, { nowMs, policy });
  if (message.recipients.every(({ phase }) => phase === 'done')) {
    message.phase = 'settled';
    return [{ kind: 'settle' }];
  }
  message.phase = 'resting';
  return [{ kind: 'remember' }, ...look(message, nowMs, policy)];
}

function report(
  message: Message,
  kind: 'failure' | 'delay',
  positions: number[],
  { nowMs, policy }: { nowMs: number; policy: MessagePolicy },
): MessageEffect[] {
  message.phase = 'reporting';
  message.reporting = kind;
  // Never a report for a null reverse-path (RFC 5321 §6.1): the failure is known to nobody but the log.
  if (message.nullReversePath) return whileReporting(message, nowMs, policy);
  return [{ kind: 'report', report: kind, positions }];
}

/** The report is stored: its recipients are done (M2). */
function whileReporting(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  if (message.phase !== 'reporting') return NOTHING;
  if (message.reporting === 'delay') message.delayReported = true;
  else for (const position of positionsIn(message, 'failed')) message.recipients[position]!.phase = 'done';
  message.reporting = 'none';
  message.phase = 'resting';
  return rest(message, nowMs, policy);
}

/** While a worker has some of it, that one may know better: the input comes again. */
function whenContentLost(
  message: Message,
  { content, nowMs }: MessageInput & { kind: 'contentLost' },
  policy: MessagePolicy,
): MessageEffect[] {
  const isTold = message.phase === 'settled' || (content === 'damaged' && message.phase === 'reporting');
  if (isTold || positionsIn(message, 'attempting').length > 0) return NOTHING;
  failUndelivered(message, CONTENT_LOST);
  if (content === 'damaged') return rest(message, nowMs, policy);
  settleUntold(message);
  return [{ kind: 'settle' }];
}
