// What the load sink got, by token: how often, under which queue ids, and, where it looks at recipients, for whom and when.
import type { TokenArrivals } from './load-sink-process.ts';

const HEAD_OCTETS = 4096;

interface Arrival {
  times: number;
  queueIds: string[];
  recipients: Record<string, number> | undefined;
  atMs: number[] | undefined;
  reports: number;
}

export class Arrivals {
  readonly #byToken = new Map<string, Arrival>();
  #latencies: number[] = [];
  /** Mails in all. */
  taken = 0;

  /** Without `recipients` only tokens and queue ids are kept. */
  add(mail: Buffer, recipients: readonly string[] | undefined, reversePath: string): void {
    const isReport = recipients !== undefined && reversePath === '';
    // A report returns the header section that has the token: further down.
    const head = mail.toString('latin1', 0, isReport ? mail.length : HEAD_OCTETS);
    const token = /^X-Token: (\S+)/m.exec(head)?.[1] ?? '';
    const arrival = this.#of(token);
    if (isReport) {
      arrival.reports += 1;
      return;
    }
    arrival.times += 1;
    arrival.queueIds.push(/\bid ([0-9a-z]{20})\b/.exec(head)?.[1] ?? '');
    if (recipients !== undefined) noteRecipients(arrival, recipients);
    this.taken += 1;
    const sentAtMs = Number(/^X-Sent-Ms: (\S+)/m.exec(head)?.[1] ?? Number.NaN);
    if (!Number.isNaN(sentAtMs)) this.#latencies.push(Date.now() - sentAtMs);
  }

  #of(token: string): Arrival {
    let arrival = this.#byToken.get(token);
    if (arrival === undefined) {
      arrival = { times: 0, queueIds: [], recipients: undefined, atMs: undefined, reports: 0 };
      this.#byToken.set(token, arrival);
    }
    return arrival;
  }

  /** Whether the token, or the token's recipient ("token/forward-path"), came or was reported. */
  has(asked: string): boolean {
    const [token, recipient] = asked.split('/');
    const arrival = this.#byToken.get(token!);
    if (arrival === undefined) return false;
    return arrival.reports > 0 || recipient === undefined || (arrival.recipients?.[recipient] ?? 0) > 0;
  }

  list(): TokenArrivals[] {
    return [...this.#byToken].map(([token, { recipients, atMs, reports, ...always }]) => ({
      token,
      ...always,
      ...(recipients !== undefined && { recipients }),
      ...(atMs !== undefined && { atMs }),
      ...(reports > 0 && { reports }),
    }));
  }

  /** Those since it was called last. */
  takeLatencies(): number[] {
    const latencies = this.#latencies;
    this.#latencies = [];
    return latencies;
  }
}

function noteRecipients(arrival: Arrival, recipients: readonly string[]): void {
  arrival.recipients ??= {};
  arrival.atMs ??= [];
  arrival.atMs.push(Date.now());
  for (const path of recipients) arrival.recipients[path] = (arrival.recipients[path] ?? 0) + 1;
}
