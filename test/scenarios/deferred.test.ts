import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage.close(), 60_000);

describe('A mail that its host defers', () => {
  test('is delivered by a later attempt, once', async () => {
    const queueId = await stage.send({ to: '450-then-450-then-250@sink.test' });
    const [mail] = await stage.relayed(1);
    expect(mail!.queueId).toBe(queueId);
    await stage.settled();
    expect(stage.sink.seen.get('450-then-450-then-250@sink.test')).toBe(3);
    expect(stage.sink.taken).toBe(1);
  });

  test('after its data is delivered by a later attempt too', async () => {
    await stage.send({ to: 'data-451-then-250@sink.test' });
    await stage.relayed(2);
    await stage.settled();
  });

  test('goes only to the recipients that were deferred', async () => {
    await stage.send({ to: ['now@sink.test', '451-then-250@sink.test'] });
    const mails = await stage.relayed(4);
    expect(mails.slice(2).map((mail) => mail.forwardPaths)).toEqual([
      ['now@sink.test'],
      ['451-then-250@sink.test'],
    ]);
    await stage.settled();
  });
});

describe('A mail for a host that is down', () => {
  test('is delivered when the host is back', async () => {
    const before = stage.sink.taken;
    await stage.sink.refuse();
    await stage.send({ to: 'later@sink.test' });
    const deferred = async () =>
      ((await stage.cluster.sumOf('queue', 'postrider_queue_outcomes_total')) ?? 0) > 0 ? true : undefined;
    await stage.cluster.until('a first attempt', deferred);
    await stage.sink.listen();
    await stage.relayed(before + 1);
    await stage.settled();
  });
});
