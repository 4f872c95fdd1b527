// Every life of a client session over an alphabet that has each fact and each kind of reply, checked at every step.
import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import type { ServerReply } from '#libs/smtp/reply-parser.ts';
import { isReady, openSession, patienceMs, receive } from './client.machine.ts';
import type {
  ClientEffect,
  ClientInput,
  ClientPolicy,
  ClientSession,
  Effects,
  MailToCarry,
  Result,
} from './client-session.ts';

const replied = (code: number, ...lines: string[]): ClientInput => {
  const reply: ServerReply = { code, enhanced: '', text: '', lines: ['mx', ...lines] };
  return { kind: 'replied', reply };
};

const REPLIES = [250, 220, 354, 421, 450, 550].map((code) => replied(code));
const HELLOS = [replied(250, 'PIPELINING', 'SIZE 10', 'STARTTLS'), replied(250, 'STARTTLS')];

const mailOf = (recipients: number, data: MailToCarry['data'], size = 10): ClientInput => ({
  kind: 'mailGiven',
  mail: { reversePath: '', forwardPaths: ['a', 'b'].slice(0, recipients), size, body: '7bit', data },
});
const MAILS = [mailOf(1, 'whole'), mailOf(2, 'whole'), mailOf(1, 'streamed'), mailOf(1, 'whole', 11)];

/** The session, and what an observer has seen of it. */
interface Watched {
  session: ClientSession;
  /** Recipients of the mail that is carried; 0 when none is. */
  carried: number;
  /** 354 came for it; its end was sent. */
  invited: 'no' | 'yes' | 'ended';
  /** MAIL or RSET of it was answered with success. */
  touched: 'no' | 'yes';
  /** This mail's checkpoint was asked for and has not come back. */
  passes: 'none' | 'own';
  /** The shell was just told to send the end: it may find that it must not. */
  moment: 'the end leaves' | 'any';
  /** This mail's checkpoint was passed. */
  passed: 'no' | 'yes';
  answered: 'no mail' | 'a mail';
  dials: string;
}

function inputsOf({ session, passes, moment }: Watched): ClientInput[] {
  const { name } = session.phase;
  if (name === 'unopened') return [{ kind: 'opened' }];
  const inputs: ClientInput[] = [{ kind: 'silent', silence: 'lost', detail: '' }];
  if (patienceMs(session) > 0) inputs.push({ kind: 'silent', silence: 'timed out', detail: '' });
  if (passes !== 'none') inputs.push({ kind: 'checkpointPassed' }, { kind: 'dotRefused' });
  if (moment === 'the end leaves') return [{ kind: 'dotRefused' }, ...inputs];
  if (name === 'connecting') inputs.push({ kind: 'connected' });
  else inputs.push(...REPLIES);
  if (name === 'hello') inputs.push(...HELLOS);
  if (name === 'handshake') inputs.push({ kind: 'secured' });
  if (name === 'streaming') inputs.push({ kind: 'streamed' }, { kind: 'dataLost', trouble: 'missing' });
  if (isReady(session)) inputs.push(...MAILS);
  if (isReady(session) || name === 'greeting' || name === 'connecting') inputs.push({ kind: 'dismissed' });
  return inputs;
}

/** What the observer notes before the machine hears of it. */
function noteInput(watched: Watched, input: ClientInput): void {
  const { phase } = watched.session;
  if (input.kind === 'mailGiven') {
    watched.carried = input.mail.forwardPaths.length;
    watched.invited = 'no';
    watched.touched = 'no';
    watched.passed = 'no';
  }
  if (input.kind === 'checkpointPassed') watched.passed = 'yes';
  if (input.kind === 'checkpointPassed' || input.kind === 'dotRefused') watched.passes = 'none';
  watched.moment = 'any';
  if (input.kind !== 'replied' || phase.name !== 'addressing') return;
  if (phase.at === -1 && [2, 4, 5].includes(Math.floor(input.reply.code / 100)) && input.reply.code !== 421) {
    watched.touched = 'yes';
  }
  if (phase.at === phase.transaction.results.length && input.reply.code === 354) watched.invited = 'yes';
}

const ENDS: ReadonlySet<ClientEffect['do']> = new Set([
  'tellFinished',
  'tellStale',
  'tellClosed',
  'tellDown',
  'tellRefused',
  'tellDataLost',
]);

function noteEffect(watched: Watched, effect: ClientEffect): void {
  if (effect.do === 'dial')
    watched.dials += `${effect.target}${watched.session.tls === 'wanted' ? 't' : 'p'} `;
  if (effect.do === 'passCheckpoint') watched.passes = 'own';
  if (effect.do === 'tellFinished') watched.answered = 'a mail';
  if (effect.do === 'sendMail' || effect.do === 'sendDot') {
    watched.invited = 'ended';
    watched.moment = 'the end leaves';
  }
  if (!ENDS.has(effect.do)) return;
  watched.carried = 0;
  watched.passes = 'none';
}

function holds(invariant: string, truth: boolean): void {
  if (!truth) throw new Error(`${invariant} is broken`);
}

const resultsIn = (effect: ClientEffect): readonly Result[] | undefined =>
  'results' in effect ? effect.results : undefined;

function checkStep(before: Watched, input: ClientInput, effects: Effects, after: Watched): void {
  if (before.session.phase.name === 'closed') {
    holds('C6', effects.length === 0);
    return;
  }
  const given = input.kind === 'mailGiven' ? input.mail.forwardPaths.length : before.carried;
  const told = effects.filter((effect) => ENDS.has(effect.do));
  holds('C2: one end', told.length <= 1);
  const open = after.session.phase.name !== 'closed' && !isReady(after.session);
  if (given > 0) holds('C2: carried or ended', (told.length === 1) !== open);
  for (const effect of effects) checkEffect(before, input, effect, { after, given });
  const dropped = effects.some((effect) => effect.do === 'hangUp' || effect.do === 'leave');
  holds('the connection ends with the session', dropped === (after.session.phase.name === 'closed'));
  holds('C7', /^(0t (0p )?)?(1t (1p )?)?$/.test(after.dials));
}

function checkEffect(
  before: Watched,
  input: ClientInput,
  effect: ClientEffect,
  { after, given }: { after: Watched; given: number },
): void {
  if (effect.do === 'sendMail' || effect.do === 'sendDot') {
    holds('C1: after 354, once', after.invited === 'ended' && before.invited !== 'ended');
    holds('C1: checkpoint', after.passed === 'yes' || (before.passed === 'yes' && given > 0));
    const { phase } = after.session;
    holds('C1: somebody', phase.name === 'ending' && phase.transaction.undecided > 0);
  }
  const results = resultsIn(effect);
  if (results !== undefined) {
    holds(
      'C2: one result each',
      results.length === given && Array.from(results).every((one) => one !== undefined),
    );
    const accepted = results.filter((one) => one.fate === 'accepted');
    holds('C3: after the dot', accepted.length === 0 || before.invited === 'ended');
    holds(
      'C3: class 2',
      accepted.every((one) => one.reply.code < 300),
    );
    const isFailed = results.every((one) => one.fate !== 'failed' || one.reply.code >= 500);
    holds('C3: failed by class 5', isFailed);
  }
  if (effect.do === 'tellStale') {
    holds('C5', before.answered === 'a mail' && before.touched === 'no' && given > 0);
    holds('C5: nothing is out', before.invited === 'no');
  }
  if (effect.do === 'tellRefused') {
    holds('C8', before.invited !== 'ended' || before.moment === 'the end leaves');
  }
  if (effect.do === 'startTls') holds('C4', input.kind === 'replied' && input.reply.code < 300);
  if (effect.do === 'tellReady') {
    holds(
      'C4: only what the last hello says',
      input.kind === 'replied' && before.session.phase.name === 'hello',
    );
  }
}

/** Replies share no identity after a clone: only what they say counts. */
function keyOf(watched: Watched): string {
  return JSON.stringify(watched, (key, value) => (key === 'lines' || key === 'text' ? undefined : value));
}

describe('a client session', () => {
  test.each<ClientPolicy>([
    { protocol: 'smtp', hostname: 'me', targets: 2, tls: 'opportunistic' },
    { protocol: 'lmtp', hostname: 'me', targets: 1, tls: 'opportunistic' },
  ])('of $protocol keeps C1 to C8 in every life, and can always end', (policy) => {
    const start: Watched = {
      session: openSession(),
      carried: 0,
      invited: 'no',
      touched: 'no',
      passes: 'none',
      moment: 'any',
      passed: 'no',
      answered: 'no mail',
      dials: '',
    };
    const walked = walkLives<Watched, ClientInput, Effects>({
      starts: [start],
      inputs: inputsOf,
      receive(watched, input) {
        if (watched.session.phase.name !== 'closed') noteInput(watched, input);
        const effects = receive(watched.session, input, policy);
        for (const effect of effects) noteEffect(watched, effect);
        return { state: watched, effects };
      },
      check: ({ before, input, after, effects }) => checkStep(before, input, effects, after),
      key: keyOf,
      mustReach: ({ session }) => session.phase.name === 'closed',
    });
    const phases = new Set(walked.states.map(({ session }) => session.phase.name));
    expect(phases.size).toBe(14);
    expect(walked.states.length).toBeGreaterThan(1000);
  });
});
