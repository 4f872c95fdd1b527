// Rounds of storing for tests: one patient round per stream at a time, without rests, by the test's clock.
import { Gate } from '../../services/queue/gate.ts';
import { Rounds } from '../../services/queue/rounds.ts';

/** `failed` hears the streams of rounds that failed. */
export function freeRounds(now: () => number, failed: string[] = []): Rounds {
  return new Rounds({
    now,
    gate: () => new Gate({ places: 1, rest: async () => {}, now }),
    onFailed: (stream) => failed.push(stream),
  });
}
