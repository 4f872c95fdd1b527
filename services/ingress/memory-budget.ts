// Octets of mail that may be in memory, all sessions together. Pure: it only counts, and never beyond its limit.
//
// Invariants:
//  B1  `used` is the sum of what was taken and not given back; it never exceeds the limit.
//  B2  A mail that wants in cannot take the last eighth: mails that are in finish first.

/** 1/8: kept for mails that are in. */
const KEPT_SHARE = 8;

export class MemoryBudget {
  readonly octetsMax: number;
  readonly #admittedMax: number;
  #used = 0;

  constructor(octetsMax: number) {
    this.octetsMax = octetsMax;
    this.#admittedMax = octetsMax - Math.floor(octetsMax / KEPT_SHARE);
  }

  get used(): number {
    return this.#used;
  }

  /** Takes room for a mail that wants in; false, and nothing is taken, when there is not enough. */
  admit(octets: number): boolean {
    return this.#take(octets, this.#admittedMax);
  }

  /** Takes more for what is in; false, and nothing is taken, when there is not enough. */
  grow(octets: number): boolean {
    return this.#take(octets, this.octetsMax);
  }

  giveBack(octets: number): void {
    this.#used -= octets;
    if (this.#used < 0) throw new Error('more memory was given back than taken');
  }

  #take(octets: number, limit: number): boolean {
    if (this.#used + octets > limit) return false;
    this.#used += octets;
    return true;
  }
}
