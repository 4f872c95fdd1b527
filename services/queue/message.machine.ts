// Decides the life of one accepted mail: from the start of its recipients to the moment it may be settled. Never
// waits, never reads a clock: time arrives in inputs, wake-ups leave as effects. Mutates the message in place.
//
//   started/due/flushed        routed             outcome, returned, lost
//  resting ──────────────▶ active (routing ─▶ ready ─▶ attempting) ──▶ rest: every recipient waits, failed or done
//     ▲                                                                 │ failed or delayed     │ all done
//     └────────────── waitUntil ◀── remembered ── reported ◀── reporting ◀                      ▼ settled
//
// Invariants:
//  M1  A message is settled only when every recipient is done (promise 2).
//  M2  A failed or expired recipient becomes done only after its DSN is stored, or when the reverse-path is null.
//  M3  At most one attempt is out for a recipient; a fate once given never changes.
//  M4  Every message that is not settled is active, reporting, or resting with a wake-up before its expiry (or held).
//  M5  What must not be forgotten (a deferral, a partial success, a hold) is followed by `remember`.
import type { Reply } from '#proto/postrider/v1/mail.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import type { Message, Recipient } from './message.ts';
import { nextAttemptAtMs, type RetryPolicy } from './retry.ts';

/** What the resolver said of one domain. */
export type RouteResult =
  | { kind: 'site'; site: Site }
  | { kind: 'failed'; reply: Reply }
  | { kind: 'deferred'; reply: Reply };

export type RecipientResult = 'delivered' | 'relayed' | 'deferred' | 'failed';

export interface PositionResult {
  position: number;
  result: RecipientResult;
  reply: Reply;
}

export type MessageInput =
  /** The wake-up came, the mail is new, or a new owner has it. */
  | { kind: 'due'; nowMs: number }
  /** An operator wants waiting and held recipients tried now; "" means every domain. */
  | { kind: 'flushed'; nowMs: number; domain: string }
  | { kind: 'routed'; nowMs: number; routes: Map<string, RouteResult> }
  | { kind: 'dispatched'; positions: number[] }
  /** A running attempt of an earlier owner. */
  | { kind: 'adopted'; positions: number[]; siteKey: string }
  | { kind: 'outcome'; nowMs: number; results: PositionResult[] }
  /** The worker gave the job back unstarted. */
  | { kind: 'returned'; positions: number[]; site: Site | undefined }
  /** The worker died with the attempt; inDoubt when its checkpoint had been passed. */
  | { kind: 'lost'; nowMs: number; positions: number[]; site: Site | undefined; inDoubt: boolean }
  /** Ready for so long that the route may have changed. */
  | { kind: 'rerouted'; positions: number[] }
  | { kind: 'reported'; nowMs: number };

export type MessageEffect =
  | { kind: 'resolve'; domains: string[] }
  | { kind: 'enqueue'; site: Site; positions: number[] }
  | { kind: 'remember' }
  | { kind: 'wakeAt'; atMs: number }
  | { kind: 'report'; report: 'failure' | 'delay'; positions: number[] }
  | { kind: 'settle' };

export interface MessagePolicy extends RetryPolicy {
  inDoubt: 'redeliver' | 'hold';
}

/** Recipients whose time comes within this are tried together, so that they share a transaction. */
const TOGETHER_MS = 1000;

/** A mail that should be looked at while an attempt is out is looked at again after this. */
const REVIEW_AGAIN_MS = 60_000;

const NOTHING: MessageEffect[] = [];

/** Feeds one input; returns what the shell must do, in order. */
export function receive(message: Message, input: MessageInput, policy: MessagePolicy): MessageEffect[] {
  switch (input.kind) {
    case 'due':
      return whileResting(message, input.nowMs, policy);
    case 'flushed':
      return flush(message, input.nowMs, input.domain);
    case 'routed':
      return whileRouting(message, input.routes, input.nowMs, policy);
    case 'dispatched':
      for (const position of input.positions) message.recipients[position]!.phase = 'attempting';
      return NOTHING;
    case 'adopted':
      return adopt(message, input.positions, input.siteKey);
    case 'outcome':
      return whileAttempting(message, input.results, input.nowMs, policy);
    case 'returned':
      return returnToSite(message, input.positions, input.site);
    case 'lost':
      return lose(message, input, policy);
    case 'rerouted':
      return startRouting(message, input.positions);
    case 'reported':
      return whileReporting(message, input.nowMs, policy);
  }
}

/** Only recipients that are out with a worker take part in what a worker says (M3). */
function attempting(message: Message, positions: number[]): number[] {
  return positions.filter((position) => message.recipients[position]?.phase === 'attempting');
}

function whileResting(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  if (message.phase === 'active') return whileWaitingForSite(message, nowMs, policy);
  if (message.phase !== 'resting') return NOTHING;
  if (nowMs >= message.acceptedAtMs + policy.expireAfterMs) return rest(message, nowMs, policy);
  const due: number[] = [];
  message.recipients.forEach((recipient, position) => {
    if (recipient.phase === 'waiting' && recipient.nextAttemptAtMs <= nowMs + TOGETHER_MS) due.push(position);
  });
  return due.length === 0 ? rest(message, nowMs, policy) : startRouting(message, due);
}

/** When expiry or the delay warning has to be looked at next. */
function reviewAtMs(message: Message, policy: MessagePolicy): number {
  const expiresAtMs = message.acceptedAtMs + policy.expireAfterMs;
  const warnAtMs = message.acceptedAtMs + policy.delayWarningAfterMs;
  return message.delayReported ? expiresAtMs : Math.min(expiresAtMs, warnAtMs);
}

/** Recipients that wait for a site expire too: they step back, and are routed again if there is still time (M4). */
function whileWaitingForSite(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  const atMs = reviewAtMs(message, policy);
  if (nowMs < atMs) return [{ kind: 'wakeAt', atMs }];
  for (const recipient of message.recipients) {
    if (recipient.phase !== 'ready') continue;
    recipient.phase = 'waiting';
    recipient.nextAttemptAtMs = nowMs;
  }
  if (isActive(message)) return [{ kind: 'wakeAt', atMs: nowMs + REVIEW_AGAIN_MS }];
  return rest(message, nowMs, policy);
}

function flush(message: Message, nowMs: number, domain: string): MessageEffect[] {
  if (message.phase === 'reporting' || message.phase === 'settled') return NOTHING;
  const positions: number[] = [];
  message.recipients.forEach((recipient, position) => {
    const asked = domain === '' || recipient.domain === domain;
    if (!asked || (recipient.phase !== 'waiting' && recipient.phase !== 'held')) return;
    recipient.nextAttemptAtMs = nowMs;
    positions.push(position);
  });
  return positions.length === 0 ? NOTHING : startRouting(message, positions);
}

function startRouting(message: Message, positions: number[]): MessageEffect[] {
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
  routes: Map<string, RouteResult>,
  nowMs: number,
  policy: MessagePolicy,
): MessageEffect[] {
  const bySite = new Map<string, { site: Site; positions: number[] }>();
  message.recipients.forEach((recipient, position) => {
    const route = recipient.phase === 'routing' ? routes.get(recipient.domain) : undefined;
    if (route === undefined) return;
    if (route.kind !== 'site') {
      applyResult(message, recipient, route, nowMs, policy);
      return;
    }
    recipient.phase = 'ready';
    recipient.siteKey = route.site.key;
    const group = bySite.get(route.site.key);
    if (group) group.positions.push(position);
    else bySite.set(route.site.key, { site: route.site, positions: [position] });
  });
  const effects: MessageEffect[] = [];
  for (const group of bySite.values()) effects.push({ kind: 'enqueue', ...group });
  return effects.length === 0 ? restOrWait(message, nowMs, policy) : effects;
}

function adopt(message: Message, positions: number[], siteKey: string): MessageEffect[] {
  for (const position of positions) {
    const recipient = message.recipients[position];
    if (recipient === undefined || recipient.phase !== 'waiting') continue;
    recipient.phase = 'attempting';
    recipient.siteKey = siteKey;
    message.phase = 'active';
  }
  return NOTHING;
}

function whileAttempting(
  message: Message,
  results: PositionResult[],
  nowMs: number,
  policy: MessagePolicy,
): MessageEffect[] {
  for (const { position, result, reply } of results) {
    const recipient = message.recipients[position];
    if (recipient?.phase !== 'attempting') continue;
    recipient.inDoubt = false;
    recipient.lastAttemptAtMs = nowMs;
    applyResult(message, recipient, { kind: result, reply }, nowMs, policy);
  }
  return restOrRemember(message, nowMs, policy);
}

function applyResult(
  message: Message,
  recipient: Recipient,
  result: { kind: RecipientResult; reply: Reply },
  nowMs: number,
  policy: MessagePolicy,
): void {
  recipient.lastReply = result.reply;
  if (result.kind === 'deferred') {
    recipient.attempts += 1;
    recipient.phase = 'waiting';
    recipient.nextAttemptAtMs = nextAttemptAtMs(message.queueId, recipient.attempts, nowMs, policy);
    return;
  }
  recipient.fate = result.kind;
  recipient.phase = result.kind === 'failed' ? 'failed' : 'done';
}

/** Back to where it waited before; the site of an attempt that an earlier owner began is not known any more. */
function returnToSite(message: Message, positions: number[], site: Site | undefined): MessageEffect[] {
  const back = attempting(message, positions);
  if (back.length > 0 && site === undefined) return startRouting(message, back);
  for (const position of back) message.recipients[position]!.phase = 'ready';
  return back.length === 0 ? NOTHING : [{ kind: 'enqueue', site: site!, positions: back }];
}

function lose(
  message: Message,
  lost: MessageInput & { kind: 'lost' },
  policy: MessagePolicy,
): MessageEffect[] {
  const positions = attempting(message, lost.positions);
  if (positions.length === 0) return NOTHING;
  if (!lost.inDoubt) return returnToSite(message, positions, lost.site);
  for (const position of positions) {
    const recipient = message.recipients[position]!;
    recipient.inDoubt = true;
    if (policy.inDoubt === 'hold') recipient.phase = 'held';
  }
  if (policy.inDoubt === 'redeliver') return returnToSite(message, positions, lost.site);
  return restOrRemember(message, lost.nowMs, policy);
}

function isActive(message: Message): boolean {
  for (const { phase } of message.recipients) {
    if (phase === 'routing' || phase === 'ready' || phase === 'attempting') return true;
  }
  return false;
}

/** While some recipients are still out, what was learned of the others must survive (M5). */
function restOrRemember(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  return isActive(message) ? [{ kind: 'remember' }] : rest(message, nowMs, policy);
}

function restOrWait(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  return isActive(message) ? NOTHING : rest(message, nowMs, policy);
}

/** Nothing is out: report what is to be reported, then settle or wait. */
function rest(message: Message, nowMs: number, policy: MessagePolicy): MessageEffect[] {
  const expired = nowMs >= message.acceptedAtMs + policy.expireAfterMs;
  const failed: number[] = [];
  const late: number[] = [];
  message.recipients.forEach((recipient, position) => {
    if (recipient.phase === 'waiting' && expired) {
      recipient.fate = 'expired';
      recipient.phase = 'failed';
    }
    if (recipient.phase === 'failed') failed.push(position);
    if (recipient.phase === 'waiting') late.push(position);
  });
  if (failed.length > 0) return report(message, 'failure', failed, nowMs, policy);
  const delayed = nowMs >= message.acceptedAtMs + policy.delayWarningAfterMs && !message.delayReported;
  if (late.length > 0 && delayed) return report(message, 'delay', late, nowMs, policy);
  return settleOrWait(message, policy);
}

function report(
  message: Message,
  kind: 'failure' | 'delay',
  positions: number[],
  nowMs: number,
  policy: MessagePolicy,
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
  else {
    for (const recipient of message.recipients) if (recipient.phase === 'failed') recipient.phase = 'done';
  }
  message.reporting = 'none';
  message.phase = 'resting';
  return rest(message, nowMs, policy);
}

function settleOrWait(message: Message, policy: MessagePolicy): MessageEffect[] {
  let wakeAtMs = reviewAtMs(message, policy);
  let waiting = 0;
  let held = 0;
  for (const recipient of message.recipients) {
    if (recipient.phase === 'held') held += 1;
    if (recipient.phase !== 'waiting') continue;
    waiting += 1;
    wakeAtMs = Math.min(wakeAtMs, recipient.nextAttemptAtMs);
  }
  if (waiting + held === 0) {
    message.phase = 'settled';
    return [{ kind: 'settle' }];
  }
  message.phase = 'resting';
  return waiting === 0 ? [{ kind: 'remember' }] : [{ kind: 'remember' }, { kind: 'wakeAt', atMs: wakeAtMs }];
}
