// Every life of a server session over an alphabet that has each fact and each kind of command, checked at every step.
import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import { parseCommandLine } from './command-line.ts';
import { awaitsClient, openSession, receive, serverPolicy, takesCommands } from './server.machine.ts';
import type { ServerEffect, ServerInput, ServerSession } from './server-session.ts';

const policy = serverPolicy({
  hostname: 'mx',
  postmasterDomain: 'mx',
  messageSizeMax: 10,
  recipientsMax: 2,
  badCommandsMax: 3,
  receivedFieldsMax: 1,
  starttls: 'offered',
  relay: 'denied',
});

const commands = [
  'EHLO a',
  'HELO a',
  'MAIL FROM:<> BODY=8BITMIME',
  'MAIL FROM:<s@x>',
  'MAIL FROM:<s@x> SIZE=11',
  'MAIL s@x',
  'RCPT TO:<r@x>',
  'RCPT TO:<Postmaster>',
  'RCPT r@x',
  'DATA',
  'DATA x',
  'RSET',
  'NOOP',
  'VRFY a',
  'EXPN a',
  'HELP',
  'STARTTLS',
  'QUIT',
  'GET / HTTP/1.1',
].map(parseCommandLine);

const always: ServerInput[] = [{ kind: 'shutdown' }, { kind: 'overload' }, { kind: 'disconnected' }];
const ends = ['complete', 'bare-line-end', 'too-big', 'line-too-long'] as const;

/** What the shell can be told in this phase, besides `always`. */
const facts: Record<ServerSession['phase']['name'], ServerInput[]> = {
  arriving: [{ kind: 'connected' }],
  greeted: commands,
  ready: commands,
  addressing: commands,
  addressed: commands,
  verifying: (['local', 'relay', 'unknown', 'deferred'] as const).map((verdict) => ({
    kind: 'recipientVerdict',
    verdict,
  })),
  opening: [{ kind: 'dataOpened' }, { kind: 'dataRefused' }],
  receiving: [
    ...ends.map((end): ServerInput => ({ kind: 'dataFinished', end, receivedFields: 1 })),
    { kind: 'dataFinished', end: 'complete', receivedFields: 2 },
  ],
  committing: [
    { kind: 'committed', queueId: 'q' },
    ...(['full', 'unavailable', 'too-big'] as const).map(
      (trouble): ServerInput => ({ kind: 'commitFailed', trouble }),
    ),
  ],
  securing: [{ kind: 'tlsEstablished' }, { kind: 'tlsFailed' }],
  closed: [
    { kind: 'committed', queueId: 'late' },
    { kind: 'recipientVerdict', verdict: 'local' },
  ],
};

/** The session, and what an observer has counted of it. */
interface Watched {
  session: ServerSession;
  /** Replies that the client waits for. */
  owed: number;
  /** Room for mail data that is asked for or held. */
  room: number;
  commits: number;
}

function note(watched: Watched, input: ServerInput, effects: readonly ServerEffect[]): void {
  if (input.kind === 'command' || input.kind === 'connected') watched.owed++;
  if (input.kind === 'dataFinished') watched.owed++;
  if (input.kind === 'dataRefused') watched.room--;
  if (input.kind === 'committed' || input.kind === 'commitFailed') watched.commits--;
  for (const effect of effects) {
    if (effect.do === 'reply' && !effect.text.startsWith('421')) watched.owed--;
    if (effect.do === 'openData') watched.room++;
    if (effect.do === 'abandonData' || effect.do === 'commit') watched.room--;
    if (effect.do === 'commit') watched.commits++;
  }
}

const said = (effects: readonly ServerEffect[], start: string) =>
  effects.some((effect) => effect.do === 'reply' && effect.text.startsWith(start));

function checkStep(
  before: Watched,
  input: ServerInput,
  effects: readonly ServerEffect[],
  after: Watched,
): void {
  const { phase } = after.session;
  const waiting = phase.name === 'verifying' || phase.name === 'opening' || phase.name === 'committing';
  if (before.session.phase.name === 'closed') {
    expect([effects, phase.name]).toEqual([[], 'closed']); // S6
    return;
  }
  // S1, S4: room is held from DATA to commit or abandonData; a commit is under way only while committing.
  expect(after.room).toBe(phase.name === 'opening' || phase.name === 'receiving' ? 1 : 0);
  if (phase.name !== 'closed') expect(after.commits).toBe(phase.name === 'committing' ? 1 : 0);
  if (effects.some((effect) => effect.do === 'commit')) {
    expect(input).toEqual({ kind: 'dataFinished', end: 'complete', receivedFields: 1 });
  }
  // S2
  expect(said(effects, '250 2.0.0 Ok: queued')).toBe(input.kind === 'committed');
  // S3: one reply per command, none more, none taken while one is owed.
  if (phase.name !== 'closed') expect(after.owed).toBe(waiting ? 1 : 0);
  expect(takesCommands(after.session) && waiting).toBe(false);
  // S5
  if (phase.name === 'securing') expect(Object.keys(phase)).toEqual(['name']);
  // S7
  if ('transaction' in phase)
    expect(phase.transaction.forwardPaths.length).toBeLessThanOrEqual(policy.recipientsMax);
  if (phase.name === 'addressing') expect(phase.transaction.forwardPaths).toEqual([]);
  // The connection is closed exactly when the session says so or the client went.
  const closes = effects.at(-1)?.do === 'close';
  expect(phase.name === 'closed').toBe(closes || input.kind === 'disconnected');
  expect(after.session.badCommands).toBeLessThanOrEqual(policy.badCommandsMax);
}

describe('a server session', () => {
  test('keeps S1 to S7 in every life, and can always end', () => {
    const fresh = (tls: 'off' | 'on'): Watched => ({
      session: openSession(tls),
      owed: 0,
      room: 0,
      commits: 0,
    });
    const walked = walkLives<Watched, ServerInput, readonly ServerEffect[]>({
      starts: [fresh('off'), fresh('on')],
      inputs: ({ session }) => [
        ...facts[session.phase.name],
        ...always,
        ...(awaitsClient(session) ? [{ kind: 'timeout' } as const] : []),
      ],
      receive(watched, input) {
        const late = watched.session.phase.name === 'closed';
        const effects = receive(watched.session, input, policy);
        if (!late) note(watched, input, effects);
        return { state: watched, effects };
      },
      check: ({ before, input, after, effects }) => checkStep(before, input, effects, after),
      mustReach: ({ session }) => session.phase.name === 'closed',
    });
    const phases = new Set(walked.states.map(({ session }) => session.phase.name));
    expect([...phases].sort()).toEqual(Object.keys(facts).sort());
    expect(walked.states.length).toBeGreaterThan(500);
  });
});
