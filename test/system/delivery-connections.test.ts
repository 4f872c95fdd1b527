// How many connections a worker has open, as the hosts at their other ends count them.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type DeliveryOwner, until } from '#kit/delivery-owner.ts';
import { DeliveryWorkers } from '#kit/delivery-workers.ts';
import { OutcomeKind } from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';

let stage: DeliveryWorkers;
let owner: DeliveryOwner;

beforeAll(async () => {
  stage = await DeliveryWorkers.open();
}, 60_000);

afterAll(() => stage?.close());

beforeEach(() => {
  owner = stage.owner();
});

afterEach(() => stage.clear(), 30_000);

/** So many mails for each site; resolves when all are relayed. */
async function relay(sites: readonly Site[], mailsEach: number): Promise<void> {
  const jobs = await owner.store(
    Array.from({ length: sites.length * mailsEach }, (_, i) => ({ to: [`r${i}@y`] })),
  );
  sites.forEach((site, i) => {
    owner.send(site, jobs.slice(i * mailsEach, (i + 1) * mailsEach));
  });
  for (const outcome of await owner.outcomesOf(jobs, 20_000)) expect(outcome.kind).toBe(OutcomeKind.RELAYED);
}

describe('a worker', () => {
  test('never has more connections open than its limit, and every site gets its turn', async () => {
    await stage.start({ connectionsMax: 5, siteConnectionsMax: 3 });
    const sink = await stage.sink({ memory: 'count' });
    sink.behaviour.delayMs = 2;
    await relay(
      Array.from({ length: 20 }, () => stage.site(sink.port)),
      25,
    );
    expect([sink.taken, Math.max(...sink.timesTaken.values())]).toEqual([500, 1]);
    expect(sink.connectionsMost).toBe(5);
    // 25 mails of a site need three turns of ten.
    expect(sink.connectionsTotal).toBeGreaterThanOrEqual(20);
    expect(sink.connectionsTotal).toBeLessThanOrEqual(120);
  }, 30_000);

  test('closes idle connections to make room for another site', async () => {
    await stage.start({ connectionsMax: 4, siteConnectionsMax: 4, connectionIdleMax: '1 min' });
    const [first, second] = [await stage.sink(), await stage.sink()];
    await relay([stage.site(first.port)], 40);
    expect(first.connectionsNow).toBe(4);
    await relay([stage.site(second.port)], 1);
    expect([first.connectionsNow, second.connectionsNow]).toEqual([3, 1]);
    expect(first.commands.at(-1)).toBe('QUIT');
  }, 30_000);

  test('that is full asks its owners for fewer jobs, until it has room again', async () => {
    await stage.start({ connectionsMax: 1, siteConnectionsMax: 2 });
    const sink = await stage.sink();
    const [busy, waiting] = [stage.site(sink.port), stage.site(sink.port)];
    const jobs = await owner.store([{ to: ['slow-after-dot@y'] }, { to: ['b@y'] }]);
    owner.send(busy, [jobs[0]!]);
    await until(() => sink.taken === 1);
    owner.send(waiting, [jobs[1]!]);
    await until(() => owner.sites.some(({ siteKey, window }) => siteKey === waiting.key && window === 2));
    await owner.outcomesOf(jobs);
    await until(() => owner.sites.at(-1)?.window === 64, 10_000);
    expect(sink.connectionsMost).toBe(1);
  }, 30_000);

  test('lets no site wait for the connections that another one opens to a host that does not answer', async () => {
    await stage.start({ connectionsMax: 4, siteConnectionsMax: 4, timeoutScale: 1 });
    const [silent, sink] = [await stage.sink(), await stage.sink()];
    silent.behaviour.greeting = '0';
    owner.send(
      stage.site(silent.port),
      await owner.store(Array.from({ length: 9 }, () => ({ to: ['a@y'] }))),
    );
    await until(() => silent.connectionsNow === 4);
    await relay([stage.site(sink.port)], 1);
    expect(silent.connectionsNow).toBe(3);
  }, 30_000);
});
