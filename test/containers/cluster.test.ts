// What happens to a cluster in real containers, under load: workers come and go, everything is replaced, one worker loses
// its network. No mail may be lost, and no duplicate may be unexplained.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ServiceName } from '#kit/cluster-process.ts';
import { isKept } from '#kit/load-ledger.ts';
import { sweep } from './engine.ts';
import { eventually } from './eventually.ts';
import { Fleet, type Stopped } from './fleet.ts';
import { buildImages } from './images.ts';
import { flows, underLoad } from './load.ts';

const START_MS_MAX = 240_000;
const TEST_MS_MAX = 180_000;
/** Silence of 5 s means gone; a little more. */
const CUT_MS = 9_000;
/** More than those that were out when the cable was pulled. */
const WORKS_ATTEMPTS = 40;
/** Of any mail, during an upgrade. */
const DELAY_MS_MAX = 30_000;

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
      const { ledger } = await underLoad(fleet, 'scale', {
        '1 -> 4': async () => {
          await fleet.add('delivery', 3);
          await flows(fleet, 400);
          shares = await attempts();
        },
        '4 -> 1': async () => {
          for (const member of fleet.members('delivery').slice(1)) {
            stopped.push(await fleet.remove('delivery', member));
          }
        },
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
    'is upgraded, one instance of each service after the other',
    async () => {
      await fleet.add('delivery');
      const stopped: Stopped[] = [];
      const roll = (service: ServiceName) => async () => {
        stopped.push(...(await fleet.roll(service)));
      };
      const { ledger, delaysMs } = await underLoad(fleet, 'upgrade', {
        resolver: roll('resolver'),
        queue: roll('queue'),
        delivery: roll('delivery'),
        ingress: roll('ingress'),
        nats: () => fleet.rollNats(),
      });
      console.info('stopped', stopped);
      expect(isKept(ledger)).toBe(true);
      expect(ledger.duplicates).toBe(0);
      expect(stopped.map(({ exitCode }) => exitCode)).toEqual(Array(8).fill(0));
      for (const { longest } of Object.values(delaysMs)) expect(longest).toBeLessThan(DELAY_MS_MAX);
    },
    TEST_MS_MAX,
  );

  test(
    'loses nothing, and duplicates only what is in doubt, when a delivery worker loses its network',
    async () => {
      const victim = fleet.members('delivery')[0]!;
      const attemptsOfVictim = async () => (await attempts())[victim.name] ?? 0;
      const { ledger } = await underLoad(fleet, 'cut', {
        'cut off': async () => {
          await fleet.cut(victim);
          await pause(CUT_MS);
        },
        back: async () => {
          await fleet.mend('delivery', victim);
          const before = await attemptsOfVictim();
          const works = async () => (await attemptsOfVictim()) > before + WORKS_ATTEMPTS;
          await eventually(works, DELAY_MS_MAX, 'the worker delivers again');
        },
      });
      expect(isKept(ledger)).toBe(true);
    },
    TEST_MS_MAX,
  );

  test('asks NATS for nothing that its users may not do', () => {
    expect(fleet.refusals()).toEqual([]);
  });
});
