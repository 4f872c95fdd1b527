// Lets all that a turn of the event loop has to say to NATS leave together: the link writes once for what is published in
// one go, and a write of its own for each kind of message would cost more than making them.

export class Departure {
  readonly #parts: (() => void)[] = [];
  readonly #run = () => this.flushNow();
  #due = false;

  /** `publish` is called at the end of each turn in which somebody said `soon`, in the order of joining. */
  join(publish: () => void): void {
    this.#parts.push(publish);
  }

  /** There is something to publish. */
  soon(): void {
    if (this.#due) return;
    this.#due = true;
    setImmediate(this.#run);
  }

  /** Publishes what there is. */
  flushNow(): void {
    this.#due = false;
    for (const publish of this.#parts) publish();
  }
}
