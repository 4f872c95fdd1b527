// Which workers may still pass checkpoints of attempts that were leased so far, as an owner's fence says it. Pure.
//
// An owner cannot name everybody who may have an attempt: a job may lie in a connection that was cut, on its way to a worker that
// this owner never heard of. So a fence names those who may go on, and shuts out all others.
//
// Invariants:
//  F1  An attempt that was given up is passed by nobody who was not heard to live then, whoever that is.
//  F2  Who was shut out stays so for what was leased until then, even when it is heard again.
import type { Fence } from '#proto/postrider/v1/job.ts';

export interface Admissions {
  /** Workers that were shut out once: from attempts up to this number, and from those of earlier owners. */
  readonly excluded: ReadonlyMap<string, number>;
  /** All others are shut out from attempts up to `through`; undefined while nothing was given up. */
  readonly admitted: { readonly workers: ReadonlySet<string>; readonly through: number } | undefined;
}

/** Workers that are named; those that were shut out longest ago are forgotten first. */
const EXCLUDED_MAX = 200;
/**
 * Workers that are named as those who may go on: with 21 octets each the record has 110 KB at most. Of more the others are shut out as if
 * they had not been heard: what they have and did not pass goes back unspent.
 */
const ADMITTED_MAX = 4000;

/**
 * What a new owner begins with: whom an earlier one shut out passes nothing of earlier owners either, by name or because it was not named
 * among those who may go on.
 */
export function admissionsOf(standing: Fence | undefined): Admissions {
  const excluded = standing?.excluded.map(({ worker }): [string, number] => [worker, 0]);
  const admitted = standing?.admitted;
  return {
    excluded: new Map(excluded),
    admitted: admitted && { workers: new Set(admitted.workers), through: 0 },
  };
}

/** After attempts up to number `through` were given up by all but these workers; undefined when the fence says so already. */
export function afterGivingUp(
  before: Admissions,
  present: ReadonlySet<string>,
  through: number,
): Admissions | undefined {
  const { admitted } = before;
  const workers = present.size > ADMITTED_MAX ? new Set([...present].slice(0, ADMITTED_MAX)) : present;
  if (admitted === undefined) return { ...before, admitted: { workers, through } };
  const isSaid = through <= admitted.through && [...admitted.workers].every((worker) => present.has(worker));
  if (isSaid) return undefined;
  const excluded = new Map(before.excluded);
  for (const worker of present) {
    if (admitted.workers.has(worker)) continue;
    excluded.delete(worker);
    excluded.set(worker, admitted.through); // F2
  }
  return {
    excluded: new Map([...excluded].slice(-EXCLUDED_MAX)),
    admitted: { workers, through: Math.max(through, admitted.through) },
  };
}

/** As it is stored. */
export function fenceOf(epoch: number, { excluded, admitted }: Admissions): Fence {
  return {
    epoch,
    excluded: [...excluded].map(([worker, through]) => ({ worker, through })),
    admitted: admitted && { workers: [...admitted.workers], through: admitted.through },
  };
}
