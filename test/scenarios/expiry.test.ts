import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open({
    config: { retry: { schedule: ['1 s'], delayWarningAfter: '2 s', expireAfter: '5 s' } },
  });
}, 60_000);
afterAll(() => stage.close(), 60_000);

describe('A mail that is deferred for too long', () => {
  test('is reported as late, then as failed, and is gone', async () => {
    await stage.send({ to: '450@sink.test', reversePath: 'bob@local.test' });
    await stage.delivered('bob', 2, 20_000);
    await stage.settled();
    const actions = stage
      .maildir('bob')
      .map((report) => /^Action: (\S+)\r$/m.exec(report.toString('latin1'))?.[1])
      .sort();
    expect(actions).toEqual(['delayed', 'failed']);
    expect(stage.sink.seen.get('450@sink.test')).toBeGreaterThanOrEqual(3);
    expect(stage.sink.taken).toBe(0);
  }, 40_000);
});
