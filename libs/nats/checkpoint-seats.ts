// How many attempts one record of `checkpoint.<p>` names, whoever writes it. Pure.

/**
 * Names in one record, and positions of recipients beside them. An id has at most 45 octets and stands there twice when its attempt
 * is for a part of its mail: some 130 KiB. One attempt with more positions travels alone: 50,000 of three octets.
 */
const NAMES_MAX = 1000;
const POSITIONS_MAX = 10_000;

/** How many of those who wait, from the first one on, have room in one record; at least one. `positionsOf`: recipients it must list. */
export function seats<T>(waiting: readonly T[], positionsOf: (one: T) => number): number {
  let positions = 0;
  for (let count = 0; count < waiting.length; count++) {
    positions += positionsOf(waiting[count]!);
    if (count === NAMES_MAX || (count > 0 && positions > POSITIONS_MAX)) return count;
  }
  return waiting.length;
}
