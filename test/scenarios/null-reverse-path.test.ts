import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage.close(), 60_000);

describe('A mail with a null reverse-path', () => {
  test('is delivered like any other', async () => {
    await stage.send({ to: 'good@sink.test', reversePath: '' });
    const [mail] = await stage.relayed(1);
    expect(mail!.reversePath).toBe('');
  });

  test('is never reported (RFC 5321 §4.5.5)', async () => {
    await stage.send({ to: '550@sink.test', reversePath: '' });
    const seen = () => (stage.sink.seen.has('550@sink.test') ? true : undefined);
    await stage.cluster.until('an attempt', seen);
    await stage.settled();
    expect((await stage.cluster.sumOf('queue', 'postrider_queue_reports_total')) ?? 0).toBe(0);
    expect(stage.sink.taken).toBe(1);
  });
});
