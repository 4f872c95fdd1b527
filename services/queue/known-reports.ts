// In which packs reports are, by queue id, so that one that comes twice is known for a copy of the first, and is not delivered
// again. A report's id follows from the mail and the recipients that it tells, and SPOOL has no fence: an owner that was replaced in
// the middle of storing a report stores it when it goes on, in a pack of its own, beside that of the next owner. Pure.

/** JetStream knows a pack by its id for so long (libs/nats/streams.ts); a report that came is known for one to two of these. */
const GENERATION_MS = 600_000;
const GENERATION_MAX = 50_000;

export class KnownReports {
  /** For as long as the partition is ours: the mail that it is about may be tried again, and fail, at any time. */
  readonly #loaded = new Map<string, number>();
  #fresh = new Map<string, number>();
  #fading: ReadonlyMap<string, number> = new Map();
  #sinceMs = 0;

  /** The pack that has the report; 0 for one that has a record of its own; undefined when it is not known. */
  packOf(queueId: string): number | undefined {
    return this.#loaded.get(queueId) ?? this.#fresh.get(queueId) ?? this.#fading.get(queueId);
  }

  /** It is in this pack, as was found when the partition was loaded. The first pack of a report counts. */
  load(queueId: string, pack: number): void {
    if (this.packOf(queueId) === undefined) this.#loaded.set(queueId, pack);
  }

  /** It came in this pack just now. */
  add(queueId: string, pack: number, nowMs: number): void {
    if (this.packOf(queueId) !== undefined) return;
    if (this.#fresh.size >= GENERATION_MAX || nowMs - this.#sinceMs >= GENERATION_MS) {
      this.#fading = this.#fresh;
      this.#fresh = new Map();
      this.#sinceMs = nowMs;
    }
    this.#fresh.set(queueId, pack);
  }
}
