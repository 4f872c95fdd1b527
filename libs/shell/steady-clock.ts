// The clock that everything in a process waits and decides by: milliseconds that never jump, whoever sets the machine's
// clock. It reads like a wall clock, and is one until somebody sets that; what is stored or shown is translated where it
// leaves the process.

export interface SteadyClock {
  /** Whole milliseconds on the clock of this process: those since 1970 as it knew them when it started. */
  now(): number;
  /** A time on this clock as the machine's wall clock has it now. */
  toWall(atMs: number): number;
  /** A time of the machine's wall clock on this clock. */
  fromWall(wallMs: number): number;
}

/** Both sources are for tests: the wall clock, and milliseconds that only go on. */
export function steadyClock(wall: () => number = Date.now, elapsed = () => performance.now()): SteadyClock {
  const zeroMs = Math.floor(wall()) - Math.floor(elapsed());
  const now = () => zeroMs + Math.floor(elapsed());
  const aheadMs = () => Math.floor(wall()) - now();
  return {
    now,
    toWall: (atMs) => atMs + aheadMs(),
    fromWall: (wallMs) => wallMs - aheadMs(),
  };
}
