// Removals from one stream: a few at a time in the order in which they came, and while the stream refuses or does not answer
// one after the other with growing pauses, so that a stream in trouble is not asked by all at once, nor the others held up.
//
// Fails: a removal that fails goes to the end, and is given up after many tries; more than a limit are dropped. Both with a word.
import { GrowingPause } from './pause-growing.ts';

/** True when it is removed, or is not there. */
export type Removal = () => Promise<boolean>;

const CALLS_MAX = 16;
const WAITING_MAX = 500_000;
const TRIES_MAX = 20;
const CUT_AT = 4096;
const PAUSE = { firstMs: 500, lastMs: 30_000 };

interface Task {
  remove: Removal;
  tries: number;
}

export interface RemovalLaneOptions {
  /** Monotonic, milliseconds. */
  now: () => number;
  onTrouble: (words: string) => void;
}

export class RemovalLane {
  readonly #options: RemovalLaneOptions;
  readonly #pause = new GrowingPause(PAUSE);
  #waiting: Task[] = [];
  /** Those of `#waiting` that are taken. */
  #taken = 0;
  #calls = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Since the last one that failed none was removed. */
  #isFailing = false;
  #isFull = false;

  constructor(options: RemovalLaneOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length - this.#taken;
  }

  get idle(): boolean {
    return this.waiting === 0 && this.#calls === 0;
  }

  add(remove: Removal): void {
    this.#push({ remove, tries: 0 });
    this.#begin();
  }

  #push(task: Task): void {
    if (this.waiting >= WAITING_MAX) {
      if (!this.#isFull)
        this.#options.onTrouble(`more than ${WAITING_MAX} removals wait: others are dropped`);
      this.#isFull = true;
      return;
    }
    this.#waiting.push(task);
  }

  #begin(): void {
    const callsMax = this.#isFailing ? 1 : CALLS_MAX;
    if (this.#timer === undefined && this.#calls < callsMax) void this.#work();
  }

  async #work(): Promise<void> {
    this.#calls += 1;
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      if (await next.remove()) this.#succeeded();
      else this.#failed(next);
      // While it fails one goes on alone, after its pause.
      if (this.#isFailing) break;
    }
    this.#calls -= 1;
    if (this.#isFailing) this.#restFor();
  }

  #succeeded(): void {
    const wasFailing = this.#isFailing;
    this.#isFailing = false;
    this.#isFull = false;
    this.#pause.succeeded();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (wasFailing) for (let calls = this.#calls; calls < CALLS_MAX; calls++) this.#begin();
  }

  #failed(task: Task): void {
    const { now, onTrouble } = this.#options;
    const nowMs = now();
    if (this.#pause.isOver(nowMs)) {
      this.#pause.failed(nowMs);
      onTrouble(`a removal failed; ${this.waiting + 1} wait`);
    }
    this.#isFailing = true;
    task.tries += 1;
    if (task.tries < TRIES_MAX) this.#push(task);
    else onTrouble('a removal is given up: the record stays');
  }

  #restFor(): void {
    if (this.#timer !== undefined) return;
    const leftMs = Math.max(1, this.#pause.leftMs(this.#options.now()));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#begin();
    }, leftMs);
    this.#timer.unref();
  }

  #take(): Task | undefined {
    const next = this.#waiting[this.#taken];
    if (next === undefined) return undefined;
    this.#taken += 1;
    if (this.#taken >= CUT_AT || this.#taken === this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#taken);
      this.#taken = 0;
    }
    return next;
  }
}
