// Asks the workers what they have of a partition: attempts that run, and outcomes that no owner acted on yet. What one worker has may
// come in several messages; it has answered when all of them are here.
//
// Fails: a worker that does not answer in time, or not wholly, or nothing that can be read, is not among the answers; who asks decides
// what that means.
import { readMessage, type Wire } from '#libs/nats/decoding.ts';
import { isToken, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { InflightAnswer, type InflightAttempt, InflightRequest } from '#proto/postrider/v1/job.ts';

const ANSWER: Wire<InflightAnswer> = {
  ...InflightAnswer,
  flawOf: ({ worker }) => (isToken(worker) ? undefined : 'nobody answers'),
};

const INFLIGHT_WAIT_MS = 2000;

export interface Asker {
  link: Pick<Link, 'scatterUntil'>;
}

/** Its final dot may be out, as its worker knows. One of the version before only knows that it asked. */
export function hasPassed({ passed, checkpointed }: InflightAttempt): boolean {
  return passed ?? checkpointed;
}

/**
 * What workers have of the partition: waits until each of these has answered. What others say is there too, but nobody is waited for
 * the less. Whoever answers ignores older epochs from then on.
 */
export async function askInflight(
  { link }: Asker,
  owner: { readonly number: number; readonly epoch: number },
  workers: ReadonlySet<string>,
): Promise<InflightAnswer[]> {
  if (workers.size === 0) return [];
  const { number: partition, epoch } = owner;
  const payload = InflightRequest.encode({ partition, epoch, takesParts: true }).finish();
  const gathering = new InflightGathering();
  const subject = subjects.inflight(partition);
  await link.scatterUntil({ subject, payload, timeoutMs: INFLIGHT_WAIT_MS }, (data) => {
    const answer = readMessage(ANSWER, data, subject);
    if (answer !== undefined) gathering.add(answer);
    return gathering.hasAll(workers);
  });
  return gathering.answers;
}

/** Puts the answers to one question together from their parts, in whatever order they come. */
export class InflightGathering {
  /** Whole ones, one for each worker. */
  readonly answers: InflightAnswer[] = [];
  readonly #answered = new Set<string>();
  readonly #parts = new Map<string, Map<number, InflightAnswer>>();

  add(answer: InflightAnswer): void {
    const { worker, part, parts } = answer;
    if (this.#answered.has(worker)) return;
    if (parts <= 1) {
      this.#whole(answer);
      return;
    }
    const known = this.#parts.get(worker) ?? new Map<number, InflightAnswer>();
    this.#parts.set(worker, known);
    known.set(part, answer);
    if (known.size < parts) return;
    this.#parts.delete(worker);
    const all = [...known.values()];
    this.#whole({
      worker,
      running: all.flatMap(({ running }) => running),
      unacknowledged: all.flatMap(({ unacknowledged }) => unacknowledged),
      part: 0,
      parts: 0,
    });
  }

  /** However often somebody else has answered. */
  hasAll(workers: ReadonlySet<string>): boolean {
    if (this.#answered.size < workers.size) return false;
    for (const worker of workers) if (!this.#answered.has(worker)) return false;
    return true;
  }

  #whole(answer: InflightAnswer): void {
    this.#answered.add(answer.worker);
    this.answers.push(answer);
  }
}
