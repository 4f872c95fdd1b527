// Says in the log that clocks of the cluster differ: seldom, and whose it is. The alert says that it goes on.
import { CLOCKS_AGREE_MS, type ClockSpread } from '#libs/nats/clock-skew.ts';

const LOOK_EVERY_MS = 10_000;
const SAY_EVERY_MS = 600_000;

export interface ClockWatchOptions {
  /** Undefined while no other instance is heard that says its clock. */
  spread: () => ClockSpread | undefined;
  say: (words: string) => void;
}

/** Looks now and then until the function that it returns is called. */
export function watchClocks({ spread, say }: ClockWatchOptions): () => void {
  let sayFromMs = Number.NEGATIVE_INFINITY;
  const look = () => {
    const seen = spread();
    const nowMs = performance.now();
    if (seen === undefined || seen.differMs <= CLOCKS_AGREE_MS || nowMs < sayFromMs) return;
    sayFromMs = nowMs + SAY_EVERY_MS;
    const { differMs, instance, isAhead } = seen;
    const seconds = (differMs / 1000).toFixed(1);
    say(`clocks differ by up to ${seconds} s: that of ${instance} is ${isAhead ? 'ahead' : 'behind'}`);
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}
