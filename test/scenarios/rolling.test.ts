import { afterEach, describe, expect, test } from '@jest/globals';
import { Stage, type StageOptions } from '#kit/cluster-stage.ts';
import { inDoubtOf } from '#kit/in-doubt.ts';

const MAILS = 12;

let stage: Stage | undefined;

afterEach(async () => {
  await stage?.close();
  stage = undefined;
}, 60_000);

/** All mails are with their host, which has not answered any of them. */
async function unanswered(config: StageOptions['config'], recipient: string): Promise<Stage> {
  const opened = await Stage.open({ instances: { delivery: 2 }, config: { ...config } });
  stage = opened;
  opened.sink.behaviour.slowMs = 8000;
  const sending = Array.from({ length: MAILS }, () => opened.send({ to: `${recipient}@sink.test` }));
  await Promise.all(sending);
  await opened.cluster.until('every dot is out', () => (opened.sink.taken === MAILS ? true : undefined));
  return opened;
}

describe('Delivery workers that are replaced one after the other', () => {
  test('deliver each mail once whose host answers slowly, and none is in doubt', async () => {
    const { cluster, sink, settled } = await unanswered(
      { drain: { attempts: '1 s' } },
      'slow-after-dot',
    ).then((opened) => ({ cluster: opened.cluster, sink: opened.sink, settled: () => opened.settled() }));
    for (const index of [0, 1]) {
      expect(await cluster.process('delivery', index).stop()).toBe(true);
      await cluster.restart('delivery', index);
    }
    await settled();
    expect(Math.max(...sink.timesTaken.values())).toBe(1);
    expect(inDoubtOf(cluster).size).toBe(0);
  }, 90_000);

  test('leave in doubt, and held, just those mails whose host never answers', async () => {
    const config = { drain: { attempts: '1 s', dots: '500 ms' }, delivery: { inDoubt: 'hold' as const } };
    const { cluster, sink } = await unanswered(config, 'hang-at-dot');
    await Promise.all([0, 1].map((index) => cluster.process('delivery', index).stop()));
    await Promise.all([0, 1].map((index) => cluster.restart('delivery', index)));
    const counted = async () => {
      const sum = await cluster.sumOf('queue', 'postrider_queue_in_doubt_total');
      return sum === MAILS ? true : undefined;
    };
    await cluster.until('all are in doubt', counted);
    expect(inDoubtOf(cluster).size).toBe(MAILS);
    expect([sink.taken, Math.max(...sink.timesTaken.values())]).toEqual([MAILS, 1]);
  }, 90_000);
});
