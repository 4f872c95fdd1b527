// Lets a limited number run at once; the others wait in the order of their coming. It never refuses: who must bound
// the number that waits reads `waiting`.

export interface Place {
  /** Gives the place back, or stops waiting for one. Once is enough; more does nothing. */
  leave(): void;
}

export class Turnstile {
  readonly #placesMax: number;
  readonly #waiting = new Set<() => void>();
  #inside = 0;

  constructor(placesMax: number) {
    this.#placesMax = placesMax;
  }

  get inside(): number {
    return this.#inside;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Calls `run` when there is a place: before it returns when there is one now. */
  enter(run: () => void): Place {
    let isLeft = false;
    const letIn = () => {
      this.#inside += 1;
      run();
    };
    const leave = () => {
      if (!isLeft) this.#leave(letIn);
      isLeft = true;
    };
    if (this.#inside < this.#placesMax) letIn();
    else this.#waiting.add(letIn);
    return { leave };
  }

  /** Resolves with a place when there is one. */
  async entered(): Promise<Place> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const place = this.enter(resolve);
    await promise;
    return place;
  }

  #leave(letIn: () => void): void {
    if (this.#waiting.delete(letIn)) return;
    this.#inside -= 1;
    const next = this.#waiting.values().next().value;
    if (next === undefined) return;
    this.#waiting.delete(next);
    next();
  }
}
