import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage.close(), 60_000);

describe('A mail to a routed domain', () => {
  test('reaches its host as it was sent, with a Received field before it', async () => {
    const data = Buffer.from('Subject: relay\r\n\r\n.one dot\r\n..two\r\n\r\n', 'latin1');
    const queueId = await stage.send({ to: 'anyone@sink.test', reversePath: 'someone@client.test', data });
    const [mail] = await stage.relayed(1);
    expect(mail).toMatchObject({
      reversePath: 'someone@client.test',
      forwardPaths: ['anyone@sink.test'],
      queueId,
    });
    const fields = mail!.data.subarray(0, mail!.data.length - data.length).toString();
    expect(mail!.data.subarray(fields.length)).toEqual(data);
    expect(fields).toMatch(
      /^Received: from client\.test \(\[127\.0\.0\.1\]\)\r\n\tby mx\.cluster\.test with ESMTP /,
    );
    await stage.settled();
  });

  test('shares a connection with the next one', async () => {
    const before = stage.sink.connectionsTotal;
    for (let i = 0; i < 5; i += 1) {
      await stage.send({ to: `r${i}@sink.test` });
      await stage.relayed(2 + i);
      await stage.settled();
    }
    expect(stage.sink.connectionsTotal - before).toBeLessThanOrEqual(1);
  });
});
