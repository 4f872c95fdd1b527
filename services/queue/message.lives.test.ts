import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { Interned } from './interned.ts';
import { type MessageEffect, type MessageInput, type RouteResult, receive } from './message.machine.ts';
import {
  type Message,
  messageFromPack,
  messageFromState,
  type Recipient,
  stateOf,
  TRIED,
} from './message.ts';
import type { MessagePolicy } from './message-reviews.ts';

const POLICY: MessagePolicy = {
  scheduleMs: [60_000, 400_000],
  expireAfterMs: 1_000_000,
  delayWarningAfterMs: 500_000,
  inDoubt: 'redeliver',
};
const REVIEW_AGAIN_MS = 60_000;
/** Moments that matter: new, not young any more, first retry, delay warning, expiry. */
const MOMENTS = [0, 20_000, 100_000, 600_000, 1_000_000];
const SITES: Site[] = ['a', 'b'].map((name) => ({
  key: `smtp:${name}.example:25`,
  transport: Transport.SMTP,
  hosts: [],
  maildir: '',
}));
const DOMAINS = ['a.example', 'b.example'];
const SAID: Reply = { code: 450, enhanced: '', text: '', host: 'mx' };

/** A message with its shell: the clock, and the one wake-up that is set. */
interface Watched {
  message: Message;
  moment: number;
  wakeAtMs: number;
}

/** What can happen: an input, time that passes, or an owner that takes over what was stored. */
type Event = MessageInput | { kind: 'time passes' } | { kind: 'taken over' };

const positionsIn = (message: Message, ...phases: Recipient['phase'][]): number[] =>
  message.recipients.flatMap((one, position) => (phases.includes(one.phase) ? [position] : []));

function routesOf(position: number): RouteResult[] {
  return [
    { kind: 'site', site: SITES[position]! },
    { kind: 'failed', reply: SAID },
    { kind: 'deferred', reply: SAID },
  ];
}

function possible({ message, moment, wakeAtMs }: Watched): Event[] {
  const nowMs = MOMENTS[moment]!;
  if (message.phase === 'settled') return [];
  const events: Event[] = [{ kind: 'flushed', nowMs, domain: '' }, { kind: 'taken over' }];
  if (moment + 1 < MOMENTS.length) events.push({ kind: 'time passes' });
  if (wakeAtMs <= nowMs || message.phase === 'resting') events.push({ kind: 'due', nowMs });
  if (message.phase === 'active') events.push({ kind: 'due', nowMs, refusedUntilMs: () => nowMs + 1 });
  if (message.phase === 'reporting') events.push({ kind: 'reported', nowMs });
  for (const position of positionsIn(message, 'routing')) {
    for (const route of routesOf(position)) {
      events.push({ kind: 'routed', nowMs, routes: new Map([[DOMAINS[position]!, route]]) });
    }
  }
  for (const position of positionsIn(message, 'ready')) {
    events.push(
      { kind: 'dispatched', positions: [position] },
      { kind: 'rerouted', nowMs, positions: [position] },
    );
  }
  for (const position of positionsIn(message, 'attempting')) {
    for (const result of ['delivered', 'deferred', 'failed'] as const) {
      events.push({ kind: 'outcome', nowMs, results: [{ position, result, reply: SAID }] });
    }
    for (const site of [SITES[position], undefined]) {
      const positions = [position];
      events.push({ kind: 'returned', nowMs, positions, site });
      events.push({ kind: 'lost', nowMs, positions, site, inDoubt: true });
    }
    events.push({ kind: 'lost', nowMs, positions: [position], site: SITES[position], inDoubt: false });
  }
  for (const position of positionsIn(message, 'waiting', 'ready', 'routing', 'held', 'attempting')) {
    events.push({ kind: 'doubted', nowMs, positions: [position] });
    for (const result of ['relayed', 'failed', 'deferred'] as const) {
      events.push({ kind: 'late', nowMs, results: [{ position, result, reply: SAID }] });
    }
  }
  return events;
}

/** What the shell does, as far as the wake-up is concerned. */
function happen(watched: Watched, event: Event, policy: MessagePolicy): MessageEffect[] {
  const feed = (input: MessageInput): MessageEffect[] => {
    if (input.kind === 'due') watched.wakeAtMs = Number.POSITIVE_INFINITY;
    const effects = receive(watched.message, input, policy);
    for (const effect of effects) if (effect.kind === 'wakeAt') watched.wakeAtMs = effect.atMs;
    return effects;
  };
  const nowMs = MOMENTS[watched.moment]!;
  switch (event.kind) {
    case 'time passes':
      watched.moment += 1;
      return watched.moment === 1 ? feed({ kind: 'stays', nowMs: MOMENTS[1]! }) : [];
    case 'taken over': {
      // Its own shell tells it that it stays, ten seconds later.
      watched.message = messageFromState(
        stateOf(watched.message, (atMs) => atMs),
        new Interned(),
      );
      const effects = feed({ kind: 'due', nowMs });
      return watched.moment === 0 ? effects : [...effects, ...feed({ kind: 'stays', nowMs })];
    }
    default:
      return feed(event);
  }
}

function check(isKept: boolean, invariant: string): void {
  if (!isKept) throw new Error(`${invariant} is broken`);
}

function checkRecipient(before: Watched, after: Watched, event: Event, position: number): void {
  const recipient = after.message.recipients[position]!;
  const earlier = before.message.recipients[position]!;
  const isUnhappy = recipient.fate === 'failed' || recipient.fate === 'expired';
  const isNewlyDone = recipient.phase === 'done' && earlier.phase !== 'done';
  if (isUnhappy && isNewlyDone && !after.message.nullReversePath) check(event.kind === 'reported', 'M2');
  if (earlier.fate !== 'none') check(recipient.fate === earlier.fate, 'M3');
  const isNewlyExpired = recipient.fate === 'expired' && earlier.fate === 'none';
  const isRefused = event.kind === 'due' && event.refusedUntilMs !== undefined && earlier.phase === 'ready';
  const isHeard = event.kind === 'outcome' || event.kind === 'routed';
  if (isNewlyExpired) {
    const isKnown = earlier.owedSinceMs === TRIED && earlier.nextAttemptAtMs > MOMENTS[after.moment]!;
    check(isKnown || isRefused || isHeard, 'M7');
  }
  if (earlier.fate !== 'none') check(recipient.phase === 'failed' || recipient.phase === 'done', 'M3');
}

function checkWakeUp({ message, moment, wakeAtMs }: Watched): void {
  const nowMs = MOMENTS[moment]!;
  const open = positionsIn(message, 'routing', 'ready', 'attempting', 'waiting', 'failed');
  if (message.phase === 'settled' || message.phase === 'reporting' || open.length === 0) return;
  for (const position of positionsIn(message, 'waiting')) {
    check(wakeAtMs <= message.recipients[position]!.nextAttemptAtMs, 'M4 (next attempt)');
  }
  if (message.phase === 'active' && moment === 0) return;
  const reviewAtMs = message.delayReported ? POLICY.expireAfterMs : POLICY.delayWarningAfterMs;
  check(wakeAtMs <= Math.max(reviewAtMs, nowMs + REVIEW_AGAIN_MS), 'M4 (review)');
}

function checkStep(before: Watched, after: Watched, event: Event, effects: MessageEffect[]): void {
  const { message } = after;
  const has = (kind: MessageEffect['kind']) => effects.some((effect) => effect.kind === kind);
  check(has('settle') === (message.phase === 'settled'), 'M1');
  if (message.phase === 'settled') check(positionsIn(message, 'done').length === DOMAINS.length, 'M1');
  message.recipients.forEach((_, position) => {
    checkRecipient(before, after, event, position);
  });
  checkWakeUp(after);
  const facts = (one: Message) =>
    one.recipients.map(({ fate, attempts, phase }) => `${fate} ${attempts} ${phase === 'held'}`).join();
  const isLearned = facts(message) !== facts(before.message);
  if (isLearned && message.phase !== 'reporting' && message.phase !== 'settled') {
    const isReleased = event.kind === 'flushed';
    const isTakenUp = event.kind === 'taken over' || (has('resolve') && !isReleased);
    check(has('remember') || isTakenUp, 'M5');
  }
  const isAwaited = positionsIn(message, 'routing', 'attempting').length > 0;
  if (positionsIn(message, 'failed').length > 0 && !isAwaited) check(message.phase === 'reporting', 'M6');
  if (message.phase !== 'reporting' && message.phase !== 'settled') {
    check((message.phase === 'active') === (isAwaited || positionsIn(message, 'ready').length > 0), 'phase');
  }
  // While it is performed the resolver may answer: what comes after it would undo that.
  if (has('resolve') && event.kind !== 'taken over')
    check(effects.at(-1)!.kind === 'resolve', 'resolve is last');
  if (message.nullReversePath) check(!has('report'), 'no report for a null reverse-path');
}

/** Leaves out what does not bear on behaviour; both recipients are alike but for their sites. */
function essence({ message, moment, wakeAtMs }: Watched): string {
  const nowMs = MOMENTS[moment]!;
  const recipients = message.recipients.map((one) =>
    [one.phase, one.fate, Math.min(one.attempts, 1), one.nextAttemptAtMs <= nowMs + 1000, one.inDoubt].join(),
  );
  recipients.sort();
  return [
    message.phase,
    message.reporting,
    message.delayReported,
    moment,
    wakeAtMs <= nowMs,
    ...recipients,
  ].join(' ');
}

function newMessage(nullReversePath: boolean): Message {
  const place = { offset: 0, length: 100 };
  const entry = { queueId: '00abcdefghij00000001', ...place, acceptedAtMs: 0, domains: [], size: 90 };
  const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
  return messageFromPack({ ...entry, nullReversePath, trace: undefined }, ref, DOMAINS);
}

describe('every life of a message', () => {
  for (const inDoubt of ['redeliver', 'hold'] as const) {
    for (const nullReversePath of [false, true]) {
      const named = `${inDoubt}${nullReversePath ? ', null reverse-path' : ''}`;
      test(`with two recipients keeps the invariants and can end (${named})`, () => {
        const policy = { ...POLICY, inDoubt };
        const walked = walkLives<Watched, Event, MessageEffect[]>({
          starts: [{ message: newMessage(nullReversePath), moment: 0, wakeAtMs: 0 }],
          inputs: possible,
          receive: (state, event) => ({ effects: happen(state, event, policy), state }),
          key: essence,
          mustReach: ({ message }) => message.phase === 'settled',
          check: ({ before, after, input, effects }) => checkStep(before, after, input, effects),
        });
        expect(walked.states.length).toBeGreaterThan(500);
      });
    }
  }
});
