// Which process is killed when, from a seed: the same seed gives the same plan.

export type Victim = 'ingress' | 'queue' | 'delivery' | 'resolver' | 'nats';

export const VICTIMS: readonly Victim[] = ['queue', 'delivery', 'nats', 'ingress', 'resolver'];

export interface Kill {
  victim: Victim;
  /** Which of two; 0 where there is one. */
  index: number;
  /** Of load before it. */
  afterMs: number;
  /** Until it is started again. */
  deadMs: number;
}

/** A generator of numbers from 0 to 1 (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Every victim in turn; instance and times by chance. */
export function killPlan(kills: number, seed: number, victims: readonly Victim[] = VICTIMS): Kill[] {
  const random = randomOf(seed);
  return Array.from({ length: kills }, (_, i) => {
    const victim = victims[i % victims.length]!;
    const alone = victim === 'resolver' || victim === 'nats';
    return {
      victim,
      index: alone ? 0 : Math.floor(random() * 2),
      afterMs: 1000 + Math.floor(random() * 2500),
      deadMs: 200 + Math.floor(random() * 2500),
    };
  });
}
