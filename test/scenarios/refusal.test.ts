import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage.close(), 60_000);

describe('RCPT', () => {
  test('to a local recipient that does not exist is refused for good', async () => {
    const { recipients, last } = await stage.attempt({ to: 'nobody@local.test' });
    expect(recipients[0]!.text).toMatch(/^550 5\.1\.1 /);
    expect(last.code).toBe(554);
  });

  test('to a stranger through the listener for mail to us is refused for good', async () => {
    const { recipients } = await stage.attempt({ to: 'anyone@elsewhere.test', listener: 'mx' });
    expect(recipients[0]!.text).toMatch(/^550 5\.7\.1 /);
  });

  test('to a local recipient is taken there', async () => {
    await stage.send({ to: 'alice@local.test', listener: 'mx' });
    await stage.delivered('alice', 1);
  });

  test('refused for one recipient leaves the others', async () => {
    const { recipients, last } = await stage.attempt({ to: ['nobody@local.test', 'bob@local.test'] });
    expect(recipients.map((reply) => reply.code)).toEqual([550, 250]);
    expect(last.code).toBe(250);
    await stage.delivered('bob', 1);
  });
});
