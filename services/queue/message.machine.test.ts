import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { type MessageEffect, type MessageInput, type MessagePolicy, receive } from './message.machine.ts';
import { type Message, messageFromPack } from './message.ts';

const POLICY: MessagePolicy = {
  scheduleMs: [60_000, 300_000],
  expireAfterMs: 1_000_000,
  delayWarningAfterMs: 500_000,
  inDoubt: 'redeliver',
};
const SITE: Site = { key: 'smtp:mx.example:25', transport: Transport.SMTP, hosts: [], maildir: '' };
const OTHER: Site = { ...SITE, key: 'smtp:other.example:25' };
const OK: Reply = { code: 250, enhanced: '2.0.0', text: 'Ok', host: 'mx' };
const BUSY: Reply = { code: 451, enhanced: '4.3.0', text: 'busy', host: 'mx' };
const GONE: Reply = { code: 550, enhanced: '5.1.1', text: 'no such user', host: 'mx' };

function newMessage(domains: string[], nullReversePath = false): Message {
  const entry = {
    queueId: '00abcdefghij00000001',
    offset: 0,
    length: 100,
    acceptedAtMs: 0,
    domains: [],
    nullReversePath,
    size: 100,
    trace: undefined,
  };
  return messageFromPack(entry, { stream: 'SPOOL_0', sequence: 1, offset: 0, length: 100 }, domains);
}

function life(message: Message, policy = POLICY) {
  return (input: MessageInput): MessageEffect[] => receive(message, input, policy);
}

const toSite = (site: Site, ...domains: string[]) =>
  new Map(domains.map((domain) => [domain, { kind: 'site', site } as const]));

/** One recipient, out with a worker. */
function attempted(policy = POLICY, nullReversePath = false) {
  const message = newMessage(['a.example'], nullReversePath);
  const feed = life(message, policy);
  feed({ kind: 'due', nowMs: 0 });
  feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'a.example') });
  feed({ kind: 'dispatched', positions: [0] });
  return { message, feed };
}

describe('a message', () => {
  test('that is delivered at once is settled and nothing is remembered', () => {
    const { message, feed } = attempted();
    const results = [{ position: 0, result: 'relayed', reply: OK } as const];
    expect(feed({ kind: 'outcome', nowMs: 10, results })).toEqual([{ kind: 'settle' }]);
    expect(message.recipients[0]).toMatchObject({ phase: 'done', fate: 'relayed', lastReply: OK });
  });

  test('asks for each domain once and goes to each site once', () => {
    const message = newMessage(['a.example', 'a.example', 'b.example', 'c.example']);
    const feed = life(message);
    expect(feed({ kind: 'due', nowMs: 0 })).toEqual([
      { kind: 'resolve', domains: ['a.example', 'b.example', 'c.example'] },
    ]);
    const routes = new Map([...toSite(SITE, 'a.example', 'c.example'), ...toSite(OTHER, 'b.example')]);
    expect(feed({ kind: 'routed', nowMs: 0, routes })).toEqual([
      { kind: 'enqueue', site: SITE, positions: [0, 1, 3] },
      { kind: 'enqueue', site: OTHER, positions: [2] },
    ]);
  });

  test('that is deferred is remembered and woken by the schedule, with jitter', () => {
    const { message, feed } = attempted();
    const effects = feed({
      kind: 'outcome',
      nowMs: 1000,
      results: [{ position: 0, result: 'deferred', reply: BUSY }],
    });
    expect(effects.map((effect) => effect.kind)).toEqual(['remember', 'wakeAt']);
    const next = message.recipients[0]!.nextAttemptAtMs;
    expect(next).toBeGreaterThanOrEqual(1000 + 54_000);
    expect(next).toBeLessThanOrEqual(1000 + 66_000);
    expect(effects[1]).toEqual({ kind: 'wakeAt', atMs: next });
    expect(feed({ kind: 'due', nowMs: next })).toEqual([{ kind: 'resolve', domains: ['a.example'] }]);
  });

  test('woken too early only sets its timer again', () => {
    const { message, feed } = attempted();
    feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'deferred', reply: BUSY }] });
    const atMs = message.recipients[0]!.nextAttemptAtMs;
    expect(feed({ kind: 'due', nowMs: 5 })).toEqual([{ kind: 'remember' }, { kind: 'wakeAt', atMs }]);
  });

  test('that fails is reported first and settled when the report is stored', () => {
    const { feed } = attempted();
    const results = [{ position: 0, result: 'failed', reply: GONE } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(feed({ kind: 'due', nowMs: 0 })).toEqual([]);
    expect(feed({ kind: 'flushed', nowMs: 0, domain: '' })).toEqual([]);
    expect(feed({ kind: 'reported', nowMs: 0 })).toEqual([{ kind: 'settle' }]);
    expect(feed({ kind: 'reported', nowMs: 0 })).toEqual([]);
    expect(feed({ kind: 'flushed', nowMs: 0, domain: '' })).toEqual([]);
  });

  test('from the null reverse-path that fails is settled without a report', () => {
    const { feed } = attempted(POLICY, true);
    const results = [{ position: 0, result: 'failed', reply: GONE } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results })).toEqual([{ kind: 'settle' }]);
  });

  test('without a way fails at routing; with trouble there it waits', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([
      ['a.example', { kind: 'failed', reply: GONE } as const],
      ['b.example', { kind: 'deferred', reply: BUSY } as const],
    ]);
    expect(feed({ kind: 'routed', nowMs: 0, routes })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(feed({ kind: 'reported', nowMs: 0 }).map(({ kind }) => kind)).toEqual(['remember', 'wakeAt']);
    expect(message.recipients.map(({ phase }) => phase)).toEqual(['done', 'waiting']);
  });

  test('with one recipient out and another done remembers what it knows', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    const routes = new Map([...toSite(SITE, 'a.example'), ...toSite(OTHER, 'b.example')]);
    feed({ kind: 'routed', nowMs: 0, routes });
    feed({ kind: 'dispatched', positions: [0] });
    feed({ kind: 'dispatched', positions: [1] });
    const first = [{ position: 0, result: 'delivered', reply: OK } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results: first })).toEqual([{ kind: 'remember' }]);
    // The same outcome again, or one for a recipient that does not exist, changes nothing (M3).
    const strange = [
      { position: 7, result: 'failed', reply: GONE } as const,
      { ...first[0]!, result: 'failed' } as const,
    ];
    feed({ kind: 'outcome', nowMs: 0, results: strange });
    expect(message.recipients[0]!.fate).toBe('delivered');
    const second = [{ position: 1, result: 'delivered', reply: OK } as const];
    expect(feed({ kind: 'outcome', nowMs: 0, results: second })).toEqual([{ kind: 'settle' }]);
  });

  test('given back unstarted waits for its site again', () => {
    const { feed } = attempted();
    expect(feed({ kind: 'returned', positions: [0], site: SITE })).toEqual([
      { kind: 'enqueue', site: SITE, positions: [0] },
    ]);
    expect(feed({ kind: 'returned', positions: [0], site: SITE })).toEqual([]);
    expect(feed({ kind: 'rerouted', positions: [0] })).toEqual([{ kind: 'resolve', domains: ['a.example'] }]);
  });

  test('lost with its worker is tried again, marked when in doubt', () => {
    const { message, feed } = attempted();
    const lost = { kind: 'lost', nowMs: 0, positions: [0], site: SITE, inDoubt: false } as const;
    expect(feed(lost)).toEqual([{ kind: 'enqueue', site: SITE, positions: [0] }]);
    expect(feed(lost)).toEqual([]);
    feed({ kind: 'dispatched', positions: [0] });
    expect(feed({ ...lost, inDoubt: true, site: undefined })).toEqual([
      { kind: 'resolve', domains: ['a.example'] },
    ]);
    expect(message.recipients[0]!.inDoubt).toBe(true);
  });

  test('lost in doubt is held when the policy says so, until an operator flushes it', () => {
    const { message, feed } = attempted({ ...POLICY, inDoubt: 'hold' });
    const lost = { kind: 'lost', nowMs: 0, positions: [0], site: SITE, inDoubt: true } as const;
    expect(feed(lost)).toEqual([{ kind: 'remember' }]);
    expect(message.recipients[0]!.phase).toBe('held');
    expect(feed({ kind: 'flushed', nowMs: 9, domain: 'z.example' })).toEqual([]);
    expect(feed({ kind: 'flushed', nowMs: 9, domain: 'a.example' })).toEqual([
      { kind: 'resolve', domains: ['a.example'] },
    ]);
  });

  test('late is reported as delayed once, and as failed when it expires', () => {
    const { message, feed } = attempted();
    feed({ kind: 'outcome', nowMs: 499_000, results: [{ position: 0, result: 'deferred', reply: BUSY }] });
    message.recipients[0]!.nextAttemptAtMs = 2_000_000;
    expect(feed({ kind: 'due', nowMs: 500_000 })).toEqual([
      { kind: 'report', report: 'delay', positions: [0] },
    ]);
    expect(feed({ kind: 'reported', nowMs: 500_001 })).toEqual([
      { kind: 'remember' },
      { kind: 'wakeAt', atMs: 1_000_000 },
    ]);
    expect(feed({ kind: 'due', nowMs: 1_000_000 })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(message.recipients[0]!.fate).toBe('expired');
    expect(feed({ kind: 'reported', nowMs: 1_000_000 })).toEqual([{ kind: 'settle' }]);
  });

  test('that waits for its site is looked at in time for its delay warning and its expiry', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'a.example', 'b.example') });
    expect(feed({ kind: 'due', nowMs: 10_000 })).toEqual([{ kind: 'wakeAt', atMs: 500_000 }]);
    feed({ kind: 'dispatched', positions: [1] });
    expect(feed({ kind: 'due', nowMs: 500_000 })).toEqual([{ kind: 'wakeAt', atMs: 560_000 }]);
    const results = [{ position: 1, result: 'deferred', reply: BUSY } as const];
    expect(feed({ kind: 'outcome', nowMs: 500_100, results })).toEqual([
      { kind: 'report', report: 'delay', positions: [0, 1] },
    ]);
  });

  test('adopted from an earlier owner is out again, unless it has its fate', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    message.recipients[1]!.phase = 'done';
    feed({ kind: 'adopted', positions: [0, 1, 5], siteKey: SITE.key });
    expect(message.phase).toBe('active');
    expect(message.recipients.map(({ phase }) => phase)).toEqual(['attempting', 'done']);
  });

  test('hears only of domains that it asked for', () => {
    const message = newMessage(['a.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    expect(feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'z.example') })).toEqual([]);
  });
});

/** Everything that can happen to a mail with two recipients at two sites, at a handful of moments. */
function possibleInputs(message: Message): MessageInput[] {
  const times = [0, 600_000, 1_000_000];
  const inputs: MessageInput[] = [];
  const at = (phase: string) => message.recipients.flatMap((one, i) => (one.phase === phase ? [i] : []));
  for (const nowMs of times) {
    inputs.push({ kind: 'due', nowMs }, { kind: 'flushed', nowMs, domain: '' });
    if (message.phase === 'reporting') inputs.push({ kind: 'reported', nowMs });
    for (const position of at('routing')) {
      const { domain } = message.recipients[position]!;
      for (const route of [
        { kind: 'site', site: position === 0 ? SITE : OTHER } as const,
        { kind: 'failed', reply: GONE } as const,
        { kind: 'deferred', reply: BUSY } as const,
      ]) {
        inputs.push({ kind: 'routed', nowMs, routes: new Map([[domain, route]]) });
      }
    }
    for (const position of at('attempting')) {
      for (const result of ['delivered', 'deferred', 'failed'] as const) {
        inputs.push({ kind: 'outcome', nowMs, results: [{ position, result, reply: OK }] });
      }
      inputs.push({ kind: 'lost', nowMs, positions: [position], site: SITE, inDoubt: true });
    }
  }
  for (const position of at('ready')) {
    inputs.push({ kind: 'dispatched', positions: [position] }, { kind: 'rerouted', positions: [position] });
  }
  for (const position of at('attempting'))
    inputs.push({ kind: 'returned', positions: [position], site: SITE });
  return inputs;
}

/** What bears on behaviour: attempts only move the schedule, which has two steps here. */
function essence(message: Message): string {
  const recipients = message.recipients.map((one) => [
    one.phase,
    one.fate,
    Math.min(one.attempts, 2),
    one.inDoubt,
  ]);
  const due = message.recipients.map((one) =>
    [0, 600_000, 1_000_000].findIndex((t) => t >= one.nextAttemptAtMs),
  );
  return JSON.stringify([message.phase, message.reporting, message.delayReported, recipients, due]);
}

describe('every life of a message', () => {
  for (const inDoubt of ['redeliver', 'hold'] as const) {
    for (const nullReversePath of [false, true]) {
      test(`with policy ${inDoubt}${nullReversePath ? ' and a null reverse-path' : ''} keeps the invariants and can end`, () => {
        const policy = { ...POLICY, inDoubt };
        const walked = walkLives<Message, MessageInput, MessageEffect[]>({
          starts: [newMessage(['a.example', 'b.example'], nullReversePath)],
          inputs: possibleInputs,
          receive: (state, input) => ({ effects: receive(state, input, policy), state }),
          key: essence,
          mustReach: (message) => message.phase === 'settled',
          check: ({ before, after, effects }) => checkStep(before, after, effects, nullReversePath),
        });
        expect(walked.states.length).toBeGreaterThan(500);
      });
    }
  }
});

function checkStep(
  before: Message,
  after: Message,
  effects: MessageEffect[],
  nullReversePath: boolean,
): void {
  const kinds = effects.map((effect) => effect.kind);
  const phases = after.recipients.map((one) => one.phase);
  const out = phases.some((phase) => phase === 'routing' || phase === 'ready' || phase === 'attempting');
  // M1
  expect(kinds.includes('settle')).toBe(after.phase === 'settled' && before.phase !== 'settled');
  if (after.phase === 'settled') expect(phases.every((phase) => phase === 'done')).toBe(true);
  after.recipients.forEach((recipient, position) => {
    const earlier = before.recipients[position]!;
    // M2
    const unhappy = recipient.fate === 'failed' || recipient.fate === 'expired';
    if (unhappy && recipient.phase === 'done' && earlier.phase !== 'done' && !nullReversePath) {
      expect(before.phase).toBe('reporting');
    }
    // M3
    if (earlier.fate !== 'none') expect(recipient.fate).toBe(earlier.fate);
    // M5
    const learned = recipient.fate !== earlier.fate || recipient.attempts !== earlier.attempts;
    if (learned && out && earlier.phase === 'attempting') expect(kinds).toContain('remember');
  });
  // M4
  expect(after.phase === 'active').toBe(out);
  if (after.phase === 'resting' && before.phase !== 'resting') {
    expect(kinds).toContain('remember');
    if (phases.includes('waiting')) expect(kinds).toContain('wakeAt');
  }
  if (nullReversePath) expect(kinds).not.toContain('report');
}
