import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage.close(), 60_000);

describe('A mail with several recipients', () => {
  test('goes to those of one site in one transaction, in their order', async () => {
    const to = Array.from({ length: 30 }, (_, i) => `r${i}@sink.test`);
    await stage.send({ to });
    const [mail] = await stage.relayed(1);
    expect(mail!.forwardPaths).toEqual(to);
    await stage.settled();
    expect(stage.sink.taken).toBe(1);
  });

  test('goes to hosts and Maildirs alike', async () => {
    await stage.send({ to: ['bob@local.test', 'one@sink.test', 'alice@local.test'] });
    const mails = await stage.relayed(2);
    expect(mails[1]!.forwardPaths).toEqual(['one@sink.test']);
    await stage.delivered('alice', 1);
    await stage.delivered('bob', 1);
    await stage.settled();
  });
});
