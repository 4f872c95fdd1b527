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
  verifying: (['local', 'relay', 'unknown', 'deferred', 'no-room'] as const).map((verdict) => ({
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
    ...(['full', 'unavailable', 'stuck', 'too-big'] as const).map(
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

function holds(invariant: string, truth: boolean): void {
  if (!truth) throw new Error(`${invariant} is broken`);
}

function checkStep(
  before: Watched,
  input: ServerInput,
  effects: readonly ServerEffect[],
  after: Watched,
): void {
  const { phase } = after.session;
  if (before.session.phase.name === 'closed') {
    holds('S6', effects.length === 0 && phase.name === 'closed');
    return;
  }
  const open = phase.name !== 'closed';
  const waiting = phase.name === 'verifying' || phase.name === 'opening' || phase.name === 'committing';
  const wellFinished =
    input.kind === 'dataFinished' && input.end === 'complete' && input.receivedFields === 1;
  holds(
    'S1: a commit is under way only while committing',
    !open || after.commits === (phase.name === 'committing' ? 1 : 0),
  );
  holds('S1: only good mail data', wellFinished || effects.every((effect) => effect.do !== 'commit'));
  holds('S2', said(effects, '250 2.0.0 Ok: queued') === (input.kind === 'committed'));
  holds('S3: one reply per command', !open || after.owed === (waiting ? 1 : 0));
  holds('S3: no command while one is owed', !(takesCommands(after.session) && waiting));
  holds('S4', after.room === (phase.name === 'opening' || phase.name === 'receiving' ? 1 : 0));
  holds('S5', phase.name !== 'securing' || Object.keys(phase).length === 1);
  if ('transaction' in phase) {
    const recipients = phase.transaction.forwardPaths.length;
    holds('S7', recipients <= policy.recipientsMax && (phase.name !== 'addressing' || recipients === 0));
  }
  const ended = effects.at(-1)?.do === 'close' || input.kind === 'disconnected';
  holds('the connection ends when the session does', open !== ended);
  holds('bad commands have an end', after.session.badCommands <= policy.badCommandsMax);
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
