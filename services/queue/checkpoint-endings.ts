// Attempts whose checkpoints mean nothing any more, until that is stored: in order, and by mail. Pure.
import { queueIdOfAttemptId, suffixOf } from '#libs/mail/attempt-id.ts';

export interface Ending {
  readonly attemptId: string;
  readonly onStored: () => void;
}

const NONE: readonly string[] = Object.freeze([]);

export class CheckpointEndings {
  /** Of each mail, what stands behind its queue id. */
  readonly #byMail = new Map<string, Set<string>>();
  #waiting: Ending[] = [];
  #storing: readonly Ending[] = [];

  /** Those that are being stored included. */
  get size(): number {
    return this.#waiting.length + this.#storing.length;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  add(ending: Ending): void {
    this.#waiting.push(ending);
    const queueId = queueIdOfAttemptId(ending.attemptId);
    const known = this.#byMail.get(queueId);
    if (known === undefined) this.#byMail.set(queueId, new Set([suffixOf(ending.attemptId)]));
    else known.add(suffixOf(ending.attemptId));
  }

  has(attemptId: string): boolean {
    return this.#byMail.get(queueIdOfAttemptId(attemptId))?.has(suffixOf(attemptId)) === true;
  }

  /** Of one mail, the oldest first; what stands behind its queue id. */
  of(queueId: string): readonly string[] {
    const known = this.#byMail.get(queueId);
    return known === undefined ? NONE : [...known];
  }

  /** The oldest, to be stored; until then nothing else is taken. */
  take(max: number): readonly Ending[] {
    this.#storing = this.#waiting.splice(0, max);
    return this.#storing;
  }

  /** What was taken is not stored. */
  putBack(): void {
    this.#waiting = [...this.#storing, ...this.#waiting];
    this.#storing = [];
  }

  /** What was taken is stored. */
  stored(): void {
    for (const { attemptId } of this.#storing) {
      const queueId = queueIdOfAttemptId(attemptId);
      const known = this.#byMail.get(queueId);
      known?.delete(suffixOf(attemptId));
      if (known?.size === 0) this.#byMail.delete(queueId);
    }
    this.#storing = [];
  }
}
