import { describe, expect, test } from '@jest/globals';
import { clockShifts, type Fault, faultPlan, faultText, type PlanOptions } from './fault-plan.ts';

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);
const MINUTES = 60_000;
const MIXTURES: Omit<PlanOptions, 'seed' | 'lengthMs'>[] = [
  {},
  { freeze: true },
  { pairs: true },
  { freeze: true, pairs: true },
  { freeze: true, pairs: true, cluster: true, split: true },
  { full: true },
  { rolling: true },
  { victims: ['queue'], freeze: true },
  { victims: ['resolver'], freeze: true },
];

const planOf = (mixture: (typeof MIXTURES)[number], seed: number) =>
  faultPlan({ ...mixture, seed, lengthMs: 5 * MINUTES });
const endOf = (fault: Fault) => fault.atMs + ('forMs' in fault ? fault.forMs : 10_000);
const nameIn = (fault: Fault) =>
  'target' in fault ? `${fault.target.service}-${fault.target.index}` : fault.kind;

describe.each(MIXTURES)('A plan of %j', (mixture) => {
  test('is the same for the same seed, and another one for another', () => {
    expect(planOf(mixture, 1)).toEqual(planOf(mixture, 1));
    if (!mixture.rolling) expect(planOf(mixture, 1)).not.toEqual(planOf(mixture, 2));
  });

  test('hits nothing that is down already, and is over in time', () => {
    for (const seed of SEEDS) {
      const downUntilMs = new Map<string, number>();
      for (const fault of planOf(mixture, seed)) {
        expect(fault.atMs).toBeGreaterThanOrEqual(downUntilMs.get(nameIn(fault)) ?? 0);
        downUntilMs.set(nameIn(fault), endOf(fault));
        expect(endOf(fault)).toBeLessThanOrEqual(5 * MINUTES);
      }
      expect(downUntilMs.size).toBeGreaterThan(0);
    }
  });
});

describe('What is asked for', () => {
  const kindsOf = (mixture: (typeof MIXTURES)[number]) =>
    new Set(SEEDS.flatMap((seed) => planOf(mixture, seed)).map(({ kind }) => kind));

  test('is in the plan, and nothing else', () => {
    expect(kindsOf({})).toEqual(new Set(['kill', 'restart']));
    expect(kindsOf({ freeze: true })).toEqual(new Set(['freeze', 'freezeItself']));
    expect(kindsOf({ pairs: true })).toEqual(new Set(['kill', 'restart']));
    expect(kindsOf({ cluster: true, split: true, freeze: true })).toEqual(
      new Set(['freeze', 'freezeItself', 'kill', 'split']),
    );
    expect(kindsOf({ full: true }).has('outage')).toBe(true);
  });

  test('restarts workers one after the other, and nobody else, where it is a rolling restart', () => {
    const plan = planOf({ rolling: true }, 1);
    expect(new Set(plan.map(nameIn))).toEqual(new Set(['delivery-0', 'delivery-1']));
    expect(new Set(plan.map(({ kind }) => kind))).toEqual(new Set(['restart']));
  });

  test('brings an owner and a worker down in both orders, with up to 6 s between', () => {
    const orders = new Set<string>();
    for (const seed of SEEDS) {
      const plan = planOf({ pairs: true }, seed).filter((fault) => /queue|delivery/.test(nameIn(fault)));
      for (const [i, fault] of plan.entries()) {
        const next = plan[i + 1];
        if (next === undefined || next.atMs - fault.atMs > 6000) continue;
        orders.add(`${nameIn(fault).split('-')[0]} ${nameIn(next).split('-')[0]}`);
      }
    }
    expect([...orders].sort()).toEqual(expect.arrayContaining(['delivery queue', 'queue delivery']));
  });

  test('can be read', () => {
    const words = SEEDS.flatMap((seed) => planOf(MIXTURES[4]!, seed).map(faultText));
    expect(words).toContainEqual(expect.stringMatching(/^kill delivery-\d, dead for [\d.]+ s$/));
    expect(words).toContainEqual(expect.stringMatching(/^freeze nats-leader for [\d.]+ s$/));
    expect(words).toContainEqual(expect.stringMatching(/^restart queue-\d$/));
    expect(words).toContainEqual(
      expect.stringMatching(/freezes itself for .* (before|after) its \d+\. "[a-z-]+"$/),
    );
    expect(words).toContainEqual(expect.stringMatching(/^the cluster is split for/));
    expect(faultText({ kind: 'outage', forMs: 1000 })).toBe('all hosts refuse for 1.0 s');
  });
});

describe('Clocks', () => {
  test('are off by up to 300 s, each by its own amount', () => {
    const shifts = [...clockShifts(7, ['ingress-0', 'queue-0', 'queue-1', 'delivery-0']).values()];
    expect(new Set(shifts).size).toBe(4);
    for (const shift of shifts) expect(Math.abs(shift)).toBeLessThanOrEqual(300_000);
  });
});
