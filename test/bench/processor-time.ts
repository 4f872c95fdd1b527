// CPU seconds of processes, as Linux counts them in /proc (user + system, to 10 ms). Used to say what one mail costs in
// each process; a process that is gone costs nothing any more, so read before it goes.
import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

export interface ProcessTimes {
  name: string;
  parent: number;
  /** Of the process itself. */
  ownS: number;
  /** Of its children that have ended and were waited for. */
  endedChildrenS: number;
}

/** What /proc knows of a process; undefined when it is gone. */
export function processTimes(pid: number): ProcessTimes | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const close = stat.lastIndexOf(')');
  const fields = stat.slice(close + 2).split(' ');
  const ticks = (field: number) => Number(fields[field]) / TICKS_PER_SECOND;
  return {
    name: stat.slice(stat.indexOf('(') + 1, close),
    parent: Number(fields[1]),
    ownS: ticks(11) + ticks(12),
    endedChildrenS: ticks(13) + ticks(14),
  };
}

/** CPU seconds that all processes of the machine used so far. */
export function machineSeconds(): number {
  const [, user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'latin1')
    .split(/\s+/, 8)
    .map(Number);
  return (user! + nice! + system! + irq! + softirq!) / TICKS_PER_SECOND;
}

function allPids(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

/** CPU seconds of a process and all of its descendants, those that have ended included. */
export function treeSeconds(root: number): number {
  const times = new Map(allPids().map((pid) => [pid, processTimes(pid)]));
  let total = 0;
  const add = (pid: number): void => {
    const own = times.get(pid);
    if (own === undefined) return;
    total += own.ownS + own.endedChildrenS;
    for (const [child, of] of times) if (of?.parent === pid) add(child);
  };
  add(root);
  return total;
}

/** Octets of memory that a process holds (resident); 0 when it is gone. */
export function residentOctets(pid: number): number {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]);
    return pages * 4096;
  } catch {
    return 0;
  }
}
