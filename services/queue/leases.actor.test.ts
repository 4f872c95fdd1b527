import { expect, test } from '@jest/globals';
import { type Attempt, AttemptLedger } from './attempts.ts';
import { Leases, type LeasesOptions } from './leases.actor.ts';

test('However many attempts a worker had, they are lost when it is gone, up to the last one that was leased', async () => {
  const attempts = new AttemptLedger();
  const many = 200_000;
  for (let number = 1; number <= many; number++) {
    const id = `q.${number.toString(36)}.a`;
    attempts.add({ id, worker: 'w', sentAtMs: 0, finished: false, checkpointed: false } as Attempt);
  }
  let lost = 0;
  const throughs: number[] = [];
  const options = {
    dispatch: { attempts, lost: () => (lost += 1) },
    checkpoints: () => ({
      giveUp: async (_: unknown, through: number) => throughs.push(through) > 0,
    }),
    link: { scatterUntil: async () => {} },
    liveWorkers: () => new Set(['other']),
    viewIsFresh: () => true,
    owner: { number: 0, epoch: 10, isOpen: true },
  };
  await new Leases(options as unknown as LeasesOptions).sweep(0);
  expect([throughs, lost]).toEqual([[many], many]);
});
