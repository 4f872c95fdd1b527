// What happens to a cluster in real containers, under load: workers come and go, everything is replaced, one worker loses
// its network. No mail may be lost, and no duplicate may be unexplained.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ServiceName } from '#kit/cluster-process.ts';
import { isKept } from '#kit/load-ledger.ts';
import { sweep } from './engine.ts';
import { Fleet, type Stopped } from './fleet.ts';
import { buildImages } from './images.ts';
import { flows, underLoad } from './load.ts';

const START_MS_MAX = 240_000;
const TEST_MS_MAX = 180_000;
/** Silence of 5 s means gone; a little more. */
const CUT_MS = 9_000;

let fleet: Fleet;

beforeAll(async () => {
  await sweep();
  fleet = await Fleet.start(await buildImages(), { ingress: 2, queue: 2, resolver: 2, delivery: 1 });
}, START_MS_MAX);

afterAll(() => fleet?.close(), TEST_MS_MAX);

/** Attempts of each worker since it started. */
async function attempts(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const member of fleet.members('delivery')) {
    counts[member.name] = (await fleet.metric(member, 'postrider_delivery_attempts_total')) ?? 0;
  }
  return counts;
}

describe('A cluster in containers, under load,', () => {
  test(
    'takes three more delivery workers and lets them go again',
    async () => {
      let shares: Record<string, number> = {};
      const stopped: Stopped[] = [];
      const { ledger } = await underLoad(fleet, 'scale', async () => {
        await fleet.add('delivery', 3);
        await flows(fleet, 500);
        shares = await attempts();
        for (const member of fleet.members('delivery').slice(1))
          stopped.push(await fleet.remove('delivery', member));
      });
      console.info('attempts of each worker', shares, 'stopped', stopped);
      expect(isKept(ledger)).toBe(true);
      expect(ledger.duplicates).toBe(0);
      expect(Object.values(shares).filter((count) => count > 0)).toHaveLength(4);
      expect(stopped.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
    },
    TEST_MS_MAX,
  );

  test(
    'is replaced, one instance of each service after the other',
    async () => {
      await fleet.add('delivery');
      const stopped: Partial<Record<ServiceName, Stopped[]>> = {};
      const { ledger, delaysMs } = await underLoad(fleet, 'rolling', async () => {
        for (const service of ['resolver', 'queue', 'delivery', 'ingress'] as const) {
          stopped[service] = await fleet.roll(service);
        }
      });
      console.info('stopped', stopped);
      expect(isKept(ledger)).toBe(true);
      expect(ledger.duplicates).toBe(0);
      const codes = Object.values(stopped)
        .flat()
        .map(({ exitCode }) => exitCode);
      expect(codes).toEqual(Array(8).fill(0));
      expect(delaysMs.longest).toBeLessThan(30_000);
    },
    TEST_MS_MAX,
  );

  test(
    'goes on while its nats-servers are restarted, one after the other',
    async () => {
      const { ledger } = await underLoad(fleet, 'nats-rolling', () => fleet.rollNats());
      expect(isKept(ledger)).toBe(true);
    },
    TEST_MS_MAX,
  );

  test(
    'loses and duplicates nothing when a delivery worker loses its network for a while',
    async () => {
      const [victim] = fleet.members('delivery');
      const { ledger } = await underLoad(fleet, 'cut', async () => {
        await fleet.cut(victim!);
        await pause(CUT_MS);
        await flows(fleet, 100);
        await fleet.mend('delivery', victim!);
        await flows(fleet, 300);
      });
      expect(isKept(ledger)).toBe(true);
    },
    TEST_MS_MAX,
  );
});
