// Asks the resolver whether recipients are ours: the questions of one event-loop turn in one message, the same question
// once at a time, and nothing twice that it allowed to be kept.
//
// Fails: nobody answers, not in time, or nonsense -> `deferred` (451), which is not kept.
import { readMessage } from '#libs/nats/decoding.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { TurnBatch } from '#libs/shell/turn-batch.ts';
import type { RecipientVerdict } from '#libs/smtp/server-session.ts';
import { RecipientVerdict as Known, RecipientAnswer, RecipientRequest } from '#proto/postrider/v1/route.ts';
import { type ResolverVerdict, VerdictCache } from './verdict-cache.ts';

export interface VerdictListener {
  verdictFound(verdict: RecipientVerdict): void;
}

export interface RecipientsOptions {
  link: Pick<Link, 'request'>;
  now: () => number;
  onTrouble: (reason: string) => void;
}

const ENTRIES_MAX = 50_000;
/** Paths in one question: at 256 octets each it stays far below the largest message. */
const PATHS_PER_REQUEST = 200;
const ANSWER_WAIT_MS = 5000;

const VERDICT_OF: Record<number, RecipientVerdict> = {
  [Known.LOCAL]: 'local',
  [Known.UNKNOWN]: 'unknown',
  [Known.RELAY]: 'relay',
  [Known.DEFERRED]: 'deferred',
};

const UNANSWERED: ResolverVerdict = { verdict: 'deferred', wholeDomain: false, ttlMs: 0 };

interface OpenQuestion {
  forwardPath: string;
  domain: string;
  listeners: VerdictListener[];
}

export class Recipients {
  readonly #options: RecipientsOptions;
  readonly #cache = new VerdictCache(ENTRIES_MAX);
  readonly #open = new Map<string, OpenQuestion>();
  readonly #turn = new TurnBatch<OpenQuestion>((questions) => this.#send(questions));

  constructor(options: RecipientsOptions) {
    this.#options = options;
  }

  /** What is known now, without asking. */
  known(forwardPath: string, domain: string): RecipientVerdict | undefined {
    return this.#cache.find(forwardPath, domain, this.#options.now());
  }

  /** Asks; `listener` hears the verdict once, in a later turn. */
  ask(forwardPath: string, domain: string, listener: VerdictListener): void {
    const open = this.#open.get(forwardPath);
    if (open !== undefined) {
      open.listeners.push(listener);
      return;
    }
    const question = { forwardPath, domain, listeners: [listener] };
    this.#open.set(forwardPath, question);
    this.#turn.add(question);
  }

  #send(questions: OpenQuestion[]): void {
    for (let from = 0; from < questions.length; from += PATHS_PER_REQUEST) {
      void this.#request(questions.slice(from, from + PATHS_PER_REQUEST));
    }
  }

  async #request(questions: OpenQuestion[]): Promise<void> {
    const { link, now, onTrouble } = this.#options;
    const forwardPaths = questions.map((question) => question.forwardPath);
    const payload = RecipientRequest.encode({ forwardPaths }).finish();
    const answer = await link.request(subjects.resolveRecipient, payload, ANSWER_WAIT_MS);
    let results: ResolverVerdict[] = [];
    if (answer.kind === 'answer') {
      const read = readAnswer(answer.data, questions.length);
      if (read === undefined) onTrouble("cannot read the resolver's answer");
      else results = read;
    }
    const nowMs = now();
    questions.forEach((question, i) => {
      this.#answered(question, results[i] ?? UNANSWERED, nowMs);
    });
  }

  #answered({ forwardPath, domain, listeners }: OpenQuestion, found: ResolverVerdict, nowMs: number): void {
    this.#open.delete(forwardPath);
    this.#cache.keep(forwardPath, domain, { ...found, nowMs });
    for (const listener of listeners) listener.verdictFound(found.verdict);
  }
}

/** The verdicts in order as many as there are questions; undefined when the answer is none. */
function readAnswer(data: Uint8Array, expected: number): ResolverVerdict[] | undefined {
  const flawOf = ({ results }: RecipientAnswer) =>
    results.length === expected ? undefined : `${results.length} verdicts for ${expected} recipients`;
  const answer = readMessage({ ...RecipientAnswer, flawOf }, data, subjects.resolveRecipient);
  return answer?.results.map(({ verdict, wholeDomain, ttlMs }) => ({
    verdict: VERDICT_OF[verdict] ?? 'deferred',
    wholeDomain,
    ttlMs,
  }));
}
