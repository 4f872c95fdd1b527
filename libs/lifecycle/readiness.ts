// Whether a service does its work now. Pure.
//
//   starting ──started──▶ serving ◀──NATS or the service itself──▶ hindered
//       └──────── draining (for good) ◀──────┘───────────────────────┘

export interface ReadinessFacts {
  /** NATS is there. */
  connected: boolean;
  /** Why the service cannot do its work although NATS is there; undefined when it can. */
  hindrance: string | undefined;
}

export class Readiness {
  #phase: 'starting' | 'started' | 'draining' = 'starting';

  started(): void {
    if (this.#phase === 'starting') this.#phase = 'started';
  }

  /** It stops: never ready again. */
  draining(): void {
    this.#phase = 'draining';
  }

  /** Why it is not ready; undefined when it is. */
  reasonAgainst({ connected, hindrance }: ReadinessFacts): string | undefined {
    if (this.#phase !== 'started') return this.#phase;
    return connected ? hindrance : 'NATS is away';
  }
}
