import { describe, expect, test } from '@jest/globals';
import type { Answer, IncomingRecord, Question, RecordAnswer } from '#libs/nats/link.ts';
import { Checkpoint, Fence, Job, OutcomeBatch } from '#proto/postrider/v1/job.ts';
import { newAttempt } from './attempt.ts';
import { Checkpoints } from './checkpoints.actor.ts';
import { Departure } from './departure.ts';

const turn = () => new Promise((done) => setImmediate(done));
const aWhile = () => new Promise((done) => setTimeout(done, 130));

const attemptOf = (attemptId: string, job: Partial<Job> = {}) => {
  return newAttempt({ ...Job.decode(new Uint8Array(0)), attemptId, queueId: 'q', epoch: 1, ...job }, 0);
};

const STORED = '{"stream":"CHECKPOINTS","seq":7}';
const failure = (code: number, err_code: number, description: string) =>
  JSON.stringify({ error: { code, err_code, description }, stream: 'CHECKPOINTS', seq: 0 });
const CONFLICT = failure(400, 10071, 'wrong last sequence: 9');
const BUSY = failure(400, 10164, 'wrong last sequence');
const FULL = failure(503, 10077, 'maximum bytes exceeded');

function recordOf(text: string): IncomingRecord {
  return { subject: '', data: Buffer.from(text), reply: '', status: 0, header: () => undefined };
}

/** A link whose questions wait until a test answers them. */
function openLink(log: string[]) {
  const reconnected: (() => void)[] = [];
  const asked: ((answer: RecordAnswer) => void)[] = [];
  const reads: ((answer: Answer) => void)[] = [];
  const link = {
    instance: 'worker',
    ask({ payload, headers }: Question, onAnswer: (answer: RecordAnswer) => void) {
      const { worker, attemptIds, parts } = Checkpoint.decode(payload);
      const sequence = headers!['Nats-Expected-Last-Subject-Sequence'];
      const fence = headers!['Nats-Expected-Last-Subject-Sequence-Subject'];
      const only = parts.map((part) => ` ${part.attemptId} for ${part.recipients.join('+')}`).join('');
      log.push(`${worker} stores ${attemptIds.join()}${only} while ${fence} is ${sequence}`);
      asked.push(onAnswer);
    },
    publish(subject: string, payload: Uint8Array): boolean {
      log.push(`${subject}: ${OutcomeBatch.decode(payload).unfenced ? 'no fence' : ''}`);
      return true;
    },
    request(subject: string, payload: Uint8Array): Promise<Answer> {
      log.push(`read ${subject} ${Buffer.from(payload).toString()}`);
      return new Promise((answer) => reads.push(answer));
    },
    onReconnected: (hear: () => void) => {
      reconnected.push(hear);
      return () => {};
    },
  };
  return { link, reconnected, asked, reads };
}

/** Checkpoints over such a link; `news` has all that happens, in order. */
function rig() {
  const log: string[] = [];
  const { link, reconnected, asked, reads } = openLink(log);
  const checkpoints = new Checkpoints({
    link,
    departure: new Departure(),
    onPublished: (id) => void log.push(`mark ${id}`),
    onPassed: (id) => void log.push(`stored ${id}`),
    onTrouble: (reason) => void log.push(reason),
    random: () => 0,
  });
  const listener = {
    passed: ({ job }: { job: Job }) => void log.push(`go on ${job.attemptId}`),
    refused: ({ job }: { job: Job }, cause: string) => void log.push(`${job.attemptId} is ${cause}`),
  };
  return {
    checkpoints,
    pass: (id: string, job: Partial<Job> = {}) => {
      const attempt = attemptOf(id, job);
      checkpoints.pass(attempt, listener);
      return attempt;
    },
    /** What happened since the last look. */
    news: () => log.splice(0),
    /** JetStream answers all publishes, or nobody does. */
    answer: async (text: string | undefined) => {
      const answer: RecordAnswer =
        text === undefined ? { kind: 'timeout' } : { kind: 'answer', record: recordOf(text) };
      for (const one of asked.splice(0)) one(answer);
      await turn();
    },
    /** The leader says what the fence is; undefined: there is none. */
    fence: async (fence: { sequence: number; data?: Uint8Array } | undefined) => {
      const { sequence: seq, data = new Uint8Array(0) } = fence ?? { sequence: 0 };
      const message = { subject: 'fence.1', seq, data: Buffer.from(data).toString('base64') };
      const text =
        fence === undefined ? failure(404, 10037, 'no message found') : JSON.stringify({ message });
      for (const one of reads.splice(0)) one({ kind: 'answer', data: Buffer.from(text) });
      await turn();
    },
    silence: async () => {
      for (const one of reads.splice(0)) one({ kind: 'timeout' });
      await turn();
    },
    reconnect: () => {
      for (const hear of reconnected) hear();
    },
  };
}

const READ = 'read $JS.API.STREAM.MSG.GET.CHECKPOINTS {"last_by_subj":"fence.1"}';
const fenceOf = (epoch: number, excluded: Fence['excluded'] = [], admitted?: Fence['admitted']) =>
  Fence.encode({ epoch, excluded, admitted }).finish();

describe('checkpoints', () => {
  test('are stored behind the newest fence, by partition, and the dot may leave only when they are', async () => {
    const { pass, news, fence, answer, checkpoints } = rig();
    pass('a', { partition: 1 });
    pass('b', { partition: 1, recipients: [2, 5] });
    expect(news()).toEqual([]);
    await turn();
    expect(news()).toEqual([READ]);
    await fence({ sequence: 9, data: fenceOf(1) });
    expect(news()).toEqual(['mark a', 'mark b', 'worker stores a,b b for 2+5 while fence.1 is 9']);
    expect(checkpoints.longestWaitSeconds).toBeGreaterThan(0);
    await answer(STORED);
    expect(news()).toEqual(['stored a', 'go on a', 'stored b', 'go on b']);
    pass('c', { partition: 1 });
    await turn();
    expect(news()).toEqual(['mark c', 'worker stores c while fence.1 is 9']);
    await answer(STORED);
    expect([news(), checkpoints.longestWaitSeconds]).toEqual([['stored c', 'go on c'], 0]);
  });

  test('are refused to an attempt whose owner has been replaced', async () => {
    const { pass, news, fence, answer } = rig();
    pass('a', { partition: 1 });
    await turn();
    await fence(undefined);
    expect(news()).toEqual([READ, 'mark a', 'worker stores a while fence.1 is 0']);
    await answer(CONFLICT);
    expect(news()).toEqual([READ]);
    await fence({ sequence: 9, data: fenceOf(2) });
    expect(news()).toEqual(['a is fenced']);
  });

  test('are refused to attempts that this worker was given up with, not to later ones', async () => {
    const { pass, news, fence, answer } = rig();
    pass('q.z.1', { partition: 1 });
    pass('q.10.1', { partition: 1 });
    await turn();
    const excluded = [
      { worker: 'worker', through: 35 },
      { worker: 'another', through: 99 },
    ];
    await fence({ sequence: 9, data: fenceOf(1, excluded) });
    expect(news()).toEqual([
      READ,
      'q.z.1 is fenced',
      'mark q.10.1',
      'worker stores q.10.1 while fence.1 is 9',
    ]);
    await answer(STORED);
    expect(news()).toEqual(['stored q.10.1', 'go on q.10.1']);
  });

  test('are refused where the fence names those who may go on, and this worker is not among them', async () => {
    const { pass, news, fence } = rig();
    pass('q.z.1', { partition: 1 });
    pass('q.10.1', { partition: 1 });
    await turn();
    await fence({ sequence: 9, data: fenceOf(1, [], { workers: ['another'], through: 35 }) });
    expect(news()).toEqual([
      READ,
      'q.z.1 is fenced',
      'mark q.10.1',
      'worker stores q.10.1 while fence.1 is 9',
    ]);
  });

  test('pass where the fence names this worker', async () => {
    const { pass, news, fence } = rig();
    pass('q.z.1', { partition: 1 });
    await turn();
    await fence({ sequence: 9, data: fenceOf(1, [], { workers: ['another', 'worker'], through: 35 }) });
    expect(news()).toEqual([READ, 'mark q.z.1', 'worker stores q.z.1 while fence.1 is 9']);
  });

  test('wait for the fence of their owner, which is told that it is not there', async () => {
    const { pass, news, fence } = rig();
    pass('a', { partition: 1, fenced: true });
    await turn();
    await fence(undefined);
    const missed = 'fence.1 is not what its owner wrote: attempts wait until that writes it again';
    expect(news()).toEqual([READ, missed, 'outcome.1: no fence']);
    await aWhile();
    expect(news()).toEqual([READ]);
    await fence({ sequence: 4, data: fenceOf(1) });
    expect(news()).toEqual(['mark a', 'worker stores a while fence.1 is 4']);
  });

  test('wait while nobody stores them, for whatever reason, and pass afterwards', async () => {
    const { pass, news, fence, answer, silence } = rig();
    pass('a', { partition: 1 });
    await turn();
    await silence();
    await aWhile();
    expect(news()).toEqual([READ, READ]);
    await fence({ sequence: 9, data: fenceOf(1) });
    const stores = ['mark a', 'worker stores a while fence.1 is 9'];
    expect(news()).toEqual(stores);
    const words = (what: string) => `checkpoints are not stored: ${what}`;
    for (const [text, said] of [
      [undefined, []],
      [FULL, [words('maximum bytes exceeded (10077)')]],
      [failure(503, 10008, 'temporarily unavailable'), []],
      ['{}', [words('the answer is no acknowledgement (0)')]],
      ['no JSON', [words('the answer is no acknowledgement (0)')]],
      ['{"error"', [words('the answer is no acknowledgement (0)')]],
      ['{"error":null}', [words('the answer is no acknowledgement (0)')]],
    ] as const) {
      await answer(text);
      await aWhile();
      expect(news()).toEqual([...said, ...stores]);
    }
    await answer(STORED);
    expect(news()).toEqual(['stored a', 'go on a']);
  });

  test('are tried again in a moment when others store theirs', async () => {
    const { pass, news, fence, answer } = rig();
    pass('a', { partition: 1 });
    await turn();
    await fence(undefined);
    news();
    await answer(BUSY);
    await new Promise((done) => setTimeout(done, 20));
    expect(news()).toEqual(['mark a', 'worker stores a while fence.1 is 0']);
  });

  test('are not passed behind a fence that cannot be read', async () => {
    const { pass, news, fence } = rig();
    pass('a', { partition: 1 });
    await turn();
    await fence({ sequence: 9, data: Buffer.from('\xff\xff', 'latin1') });
    expect(news()).toEqual([READ, 'fence.1 cannot be read (CHECKPOINTS 9)']);
    await aWhile();
    expect(news()).toEqual([READ]);
  });

  test('are passed by what the fence is now when the connection was lost meanwhile', async () => {
    const { pass, news, fence, answer, reconnect } = rig();
    pass('a', { partition: 1 });
    await turn();
    await fence({ sequence: 9, data: fenceOf(1) });
    await answer(STORED);
    reconnect();
    news();
    pass('b', { partition: 1 });
    await turn();
    expect(news()).toEqual([READ]);
  });

  test('are refused to an attempt that is cancelled while its record is on its way', async () => {
    const { pass, news, fence, answer } = rig();
    const attempt = pass('a', { partition: 1 });
    await turn();
    await fence(undefined);
    news();
    attempt.standing = 'cancelled';
    await answer(STORED);
    expect(news()).toEqual(['a is cancelled']);
  });
});
