// Says what goes wrong without saying it a thousand times a second: a full disk refuses every mail, and one line tells it.

const SAME_AFTER_MS = 10_000;
/** Kinds of trouble that are remembered; a new one beyond them is said. */
const KINDS_MAX = 100;

interface Said {
  atMs: number;
  /** Times it was not said since. */
  kept: number;
}

export class TroubleLog {
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  readonly #said = new Map<string, Said>();

  constructor(write: (line: string) => void, now: () => number) {
    this.#write = write;
    this.#now = now;
  }

  /**
   * Writes `reason` and `detail`, unless the same reason, numbers aside, was written in the last ten seconds; then it is
   * counted.
   */
  say(reason: string, detail = ''): void {
    const kind = reason.replace(/\d+/g, '#');
    const nowMs = this.#now();
    const said = this.#said.get(kind);
    if (said !== undefined && nowMs - said.atMs < SAME_AFTER_MS) {
      said.kept++;
      return;
    }
    const more = said === undefined || said.kept === 0 ? '' : ` (and ${said.kept} times before)`;
    if (said === undefined && this.#said.size >= KINDS_MAX) this.#said.clear();
    this.#said.set(kind, { atMs: nowMs, kept: 0 });
    this.#write(`${reason}${detail}${more}`);
  }
}
