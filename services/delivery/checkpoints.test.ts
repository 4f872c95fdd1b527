import { describe, expect, test } from '@jest/globals';
import { subjects } from '#libs/nats/layout.ts';
import { Checkpoint, type Job } from '#proto/postrider/v1/job.ts';
import { newAttempt } from './attempt.ts';
import { Checkpoints } from './checkpoints.actor.ts';
import { Departure } from './departure.ts';

const turn = () => new Promise((done) => setImmediate(done));

const attemptOf = (attemptId: string, partition: number) => {
  const job: Job = {
    attemptId,
    queueId: 'q',
    partition,
    epoch: 1,
    ref: undefined,
    recipients: [],
    startByMs: 0,
    trace: undefined,
    attempts: 0,
    ownTrace: false,
  };
  return newAttempt(job);
};

/** Checkpoints over a link that the test connects and disconnects; `log` has all that happens, in order. */
function rig() {
  const log: string[] = [];
  const reconnected: (() => void)[] = [];
  const asked: ((isConfirmed: boolean) => void)[] = [];
  const link = {
    instance: 'worker',
    connected: true,
    confirm: () => new Promise<boolean>((answer) => asked.push(answer)),
    publish(subject: string, payload: Uint8Array) {
      const { worker, attemptIds } = Checkpoint.decode(payload);
      log.push(`${worker} says ${attemptIds.join()} on ${subject}`);
      return true;
    },
    onReconnected: (hear: () => void) => {
      reconnected.push(hear);
      return () => {};
    },
  };
  const departure = new Departure();
  const onPassed = (attemptId: string) => void log.push(`mark ${attemptId}`);
  const checkpoints = new Checkpoints({ link, departure, onPassed });
  const pass = (id: string, partition: number) => {
    checkpoints.pass(attemptOf(id, partition), () => void log.push(`go on ${id}`));
  };
  const connect = () => {
    link.connected = true;
    for (const hear of reconnected) hear();
  };
  /** The server answers what it was asked, or the connection is lost. */
  const answer = async (isConfirmed: boolean) => {
    for (const one of asked.splice(0)) one(isConfirmed);
    await turn();
  };
  return { log, link, pass, connect, answer };
}

describe('checkpoints', () => {
  test('are marked, then published, and the dot may leave only when the server has confirmed them', async () => {
    const { log, pass, answer } = rig();
    pass('a', 1);
    pass('b', 2);
    pass('c', 1);
    expect(log).toEqual([]);
    await turn();
    const published = [
      'mark a',
      'mark b',
      'mark c',
      `worker says a,c on ${subjects.checkpoint(1)}`,
      `worker says b on ${subjects.checkpoint(2)}`,
    ];
    expect(log).toEqual(published);
    await turn();
    expect(log).toEqual(published);
    await answer(true);
    expect(log).toEqual([...published, 'go on a', 'go on b', 'go on c']);
  });

  test('wait while the link is down, and pass when it is back', async () => {
    const { log, link, pass, connect, answer } = rig();
    link.connected = false;
    pass('a', 1);
    await turn();
    await turn();
    expect(log).toEqual([]);
    connect();
    await turn();
    await answer(true);
    expect(log).toEqual(['mark a', `worker says a on ${subjects.checkpoint(1)}`, 'go on a']);
  });

  test('are published again when the connection was lost before they were confirmed', async () => {
    const { log, link, pass, connect, answer } = rig();
    pass('a', 1);
    await turn();
    link.connected = false;
    await answer(false);
    connect();
    await turn();
    await answer(true);
    const published = ['mark a', `worker says a on ${subjects.checkpoint(1)}`];
    expect(log).toEqual([...published, ...published, 'go on a']);
  });
});
