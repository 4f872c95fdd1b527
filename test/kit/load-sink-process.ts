// Starts the load sink as a child process and asks it; both ends of the channel between them.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** It listens at all of them, so that it is several sites to those who deliver. */
export const SINK_ADDRESSES: readonly string[] = sinkAddresses(8);

/** Loopback addresses, the first 250 of them in 127.0.0.0/24. */
export function sinkAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `127.0.${Math.floor(i / 250)}.${(i % 250) + 1}`);
}

export interface LoadSinkOptions {
  /** Between the final dot, when the mail counts as taken, and its reply. */
  answerAfterMs?: number;
  /** Up to so much more, by chance. */
  answerSpreadMs?: number;
  /** Recipients are looked at: the first RCPT for a local part that begins with "grey" is refused for now, the final dot of a mail for
   * one that begins with "slow" is answered after so long, and every arrival is kept with its recipients and its time. */
  scripted?: { slowAfterMs: number };
  /** Before each reply, or each group of pipelined ones, the greeting included: as a host far away. */
  replyAfterMs?: number;
  /** It is so many sites: it listens at the first ones of `sinkAddresses`. */
  addresses?: number;
}

export type Question = 'taken' | 'arrivals' | 'latencies' | 'connections' | 'refuse' | 'accept';
/** A question, or tokens of which those are wanted that did not come; a token with "/<forward-path>" is about one recipient. */
export type Asked = Question | { missing: readonly string[] };

/** One token at the sink. */
export interface TokenArrivals {
  token: string;
  times: number;
  /** Of every arrival, from its Received field. */
  queueIds: string[];
  /** Of a scripted sink: how often each recipient came, and when (Unix, ms) each transaction ended. */
  recipients?: Record<string, number>;
  atMs?: number[];
  /** Messages with the null reverse-path that have the token in them. */
  reports?: number;
}

interface Answers {
  /** Mails since the start. */
  taken: number;
  arrivals: TokenArrivals[];
  /** Milliseconds from X-Sent-Ms to the sink, of all mails since this was asked last. */
  latencies: number[];
  /** TCP connections now, the most at the same time since this was asked last, and all in all. */
  connections: { now: number; most: number; total: number };
  /** From now on every RCPT is refused for now, or no more. */
  refuse: true;
  accept: true;
}

interface Saying {
  listening?: number;
  answer?: unknown;
}

/** The child's end. */
export function parentPort(): {
  say: (saying: Saying) => void;
  onQuestion: (hear: (question: Asked) => void) => void;
} {
  return {
    say: (saying) => process.send?.(saying),
    onQuestion: (hear) => process.on('message', (message) => hear(message as Asked)),
  };
}

export class LoadSink {
  readonly port: number;
  readonly #child: ChildProcess;
  #waiting: ((answer: unknown) => void)[] = [];

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    child.on('message', (saying: Saying) => this.#waiting.shift()?.(saying.answer));
  }

  static start(options: LoadSinkOptions = {}): Promise<LoadSink> {
    const file = fileURLToPath(new URL('./load-sink.ts', import.meta.url));
    const child = fork(file, [JSON.stringify(options)], { execPath: process.execPath, execArgv: [] });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the load sink ended with ${code}`)));
      child.once('message', (saying: Saying) => resolve(new LoadSink(child, saying.listening!)));
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Answers come in the order of the questions. */
  ask<Q extends Question>(question: Q): Promise<Answers[Q]> {
    return this.#ask(question) as Promise<Answers[Q]>;
  }

  /** Those of the tokens (with "/<forward-path>": of the token's recipients) that neither came nor were reported. */
  missing(tokens: readonly string[]): Promise<string[]> {
    return this.#ask({ missing: tokens }) as Promise<string[]>;
  }

  #ask(asked: Asked): Promise<unknown> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#child.send(asked);
    });
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#child.once('exit', done));
    this.#child.kill('SIGKILL');
    await ended;
  }
}
