// Mail of partitions that have no owner is counted all the same, with a real nats-server.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { readMetric } from '#kit/cluster-metrics.ts';
import { Stage } from '#kit/cluster-stage.ts';
import { QueueRig, until } from '#kit/queue-rig.ts';
import { callApi } from '#libs/nats/api.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { Uncounted } from '../../services/queue/uncounted.actor.ts';

jest.setTimeout(120_000);

const one = [{ to: ['a@a.example'] }];

describe('Mail of a partition that nobody owns', () => {
  let rig: QueueRig;

  beforeEach(async () => {
    rig = await QueueRig.start({ partitions: 8 });
  });

  afterEach(() => rig.stop());

  test('is counted by who is next for it', async () => {
    const first = await rig.openQueue();
    const second = await rig.queue();
    const opened = (one: typeof first) => [...one.queue.partitions.values()].filter(({ isOpen }) => isOpen);
    await until(() => opened(first).length + opened(second).length === 8 && opened(second).length > 0);
    const partition = opened(first)[0]!.number;
    await rig.accept(one, partition);
    await rig.accept(one, partition);
    // It can claim nothing any more.
    const { direct } = second.context;
    direct.lastOf = async () => ({ kind: 'unavailable' });
    const uncounted = new Uncounted({
      link: second.link,
      layout: rig.layout,
      partitions: () => second.queue.uncounted,
      now: () => performance.now(),
    });
    expect(second.queue.freePartitions).toEqual([]);
    await first.kill();
    await until(async () => {
      await uncounted.sweep();
      return uncounted.records === 2;
    }, 20_000);
    await until(() => second.queue.freePartitions.includes(partition), 20_000);
  });
});

/** The stream takes no record any more, until what is returned is called. */
async function close(stream: string, link: Link): Promise<() => Promise<void>> {
  const info = await callApi<{ config: object }>(link, `STREAM.INFO.${stream}`, undefined, 3000);
  if (info.kind !== 'ok') throw new Error(`no ${stream}`);
  const update = async (change: object) => {
    const config = { ...info.value.config, ...change };
    expect((await callApi(link, `STREAM.UPDATE.${stream}`, config, 3000)).kind).toBe('ok');
  };
  await update({ max_msg_size: 1 });
  return () => update({});
}

describe('Mail of a queue that was killed', () => {
  let stage: Stage;
  let link: Link;

  beforeEach(async () => {
    stage = await Stage.open({
      instances: { queue: 2 },
      config: { nats: { partitions: 8 }, retry: { schedule: ['1 h'] } },
    });
    link = await connectLink({ url: stage.cluster.nats.url, service: 'test' });
  });

  afterEach(async () => {
    await link.close();
    await stage.close();
  });

  test('is counted as long as nobody can own it', async () => {
    const { cluster } = stage;
    const read = async (index: number, name: string) =>
      (await readMetric(cluster.metricsUrl('queue', index), `postrider_queue_${name}`)) ?? 0;
    let sent = 0;
    for (; (await read(0, 'mails')) === 0; sent++) await stage.send({ to: '450@sink.test' });
    const remembered = async () =>
      (await cluster.sumOf('queue', 'postrider_queue_open_packs')) === 0 ? true : undefined;
    await cluster.until('all to wait outside of their packs', remembered, 20_000);
    const open = await close('QUEUE', link);
    await cluster.kill('queue', 0);
    await cluster.until(
      'all to be counted',
      async () => ((await read(1, 'mails')) >= sent ? true : undefined),
      25_000,
    );
    expect(await read(1, 'partitions')).toBeLessThan(8);
    await open();
    await cluster.until('all to have an owner', async () =>
      (await read(1, 'partitions')) === 8 && (await read(1, 'mails')) === sent ? true : undefined,
    );
  });
});
