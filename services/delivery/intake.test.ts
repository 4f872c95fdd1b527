import { describe, expect, test } from '@jest/globals';
import { Job, JobBatch, OutcomeBatch, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { Site } from '#proto/postrider/v1/route.ts';
import { type Attempt, returnedUnsent } from './attempt.ts';
import { Departure } from './departure.ts';
import { Intake } from './intake.actor.ts';
import { Outbox } from './outbox.actor.ts';

const NOTHING = new Uint8Array(0);
const REF = { stream: 'SPOOL_0', sequence: 1, offset: 0, length: 1 };

const jobOf = (attemptId: string, more: Partial<Job> = {}): Job => {
  return { ...Job.decode(NOTHING), attemptId, queueId: `q-${attemptId}`, epoch: 1, ref: REF, ...more };
};

/** An intake whose link hears nobody; what it says is in `said`. */
function rig() {
  const said: OutcomeBatch[] = [];
  const link = {
    instance: 'worker',
    payloadMax: 1024 ** 2,
    subscribe: () => ({ unsubscribe: () => {}, drain: async () => {} }),
    onReconnected: () => () => {},
    publish: (_: string, data: Uint8Array) => said.push(OutcomeBatch.decode(data)) > 0,
  };
  const departure = new Departure();
  const started: Attempt[] = [];
  const full: number[] = [];
  const intake = new Intake({
    link,
    partitions: 2,
    outbox: new Outbox(link, departure),
    now: () => 0,
    onAttempts: (_, attempts) => started.push(...attempts),
    onCancelled: () => {},
    onTrouble: () => {},
    onFull: (jobs) => full.push(jobs),
    mayTakeJobs: () => true,
    isLate: () => false,
  });
  const send = (...jobs: Job[]) => {
    const site = { ...Site.decode(NOTHING), key: 'site' };
    const data = JobBatch.encode({ site, jobs, owner: 'queue', clockMs: 0 }).finish();
    intake.jobs({ subject: 'deliver.0', data, reply: '' });
    departure.flushNow();
    return started.splice(0).map(({ job }) => job.attemptId);
  };
  return { intake, send, said, full };
}

describe('the intake of a worker', () => {
  test('takes the other jobs of a message in which one cannot be carried out', () => {
    const { send, said } = rig();
    const flawed = [jobOf('', {}), jobOf('b', { queueId: '' }), jobOf('c', { ref: undefined })];
    expect(send(jobOf('a'), ...flawed, jobOf('d'))).toEqual(['a', 'd']);
    expect(said.map(({ accepted }) => accepted)).toEqual([['a', 'd']]);
  });

  test('neither takes nor accepts jobs of an owner that acts on nothing, and says how many', () => {
    const { intake, send, said, full } = rig();
    const words = 'x'.repeat(900_000);
    for (let i = 0; full.length === 0; i++) {
      const job = jobOf(`a${i}`, { recipients: [1] });
      for (const id of send(job)) {
        const attempt = { job: { ...job, attemptId: id } } as Attempt;
        const tls = words;
        intake.finished(attempt, { ...returnedUnsent(job, ''), kind: OutcomeKind.RELAYED, tls });
      }
    }
    said.length = 0;
    expect(send(jobOf('b'), jobOf('c'), jobOf('elsewhere', { partition: 1 }))).toEqual(['elsewhere']);
    expect(full).toEqual([1, 2]);
    expect(said.flatMap(({ accepted }) => accepted)).toEqual(['elsewhere']);
    expect(intake.unacknowledged).toBeGreaterThan(30);
  });
});
