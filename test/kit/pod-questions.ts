// How a test asks the programs that it runs in containers and pods (pod-sink.ts, pod-sender.ts): they answer over HTTP on
// their own loopback, so that no policy of a cluster has to let anybody in, and who asks runs a line of Node beside them.
import { createServer } from 'node:http';
import type { TokenArrivals } from './load-sink-process.ts';

export const QUESTIONS_PORT = 8099;

export interface SenderState {
  /** "sending", "stopped", or what went wrong. */
  state: string;
  accepted: number;
  troubles: number;
}

export interface SenderLedger {
  /** Token and queue id. */
  accepted: [string, string][];
  unknown: string[];
  refused: string[];
}

/** Questions and what is answered to them. */
export interface PodAnswers {
  /** To the sender. */
  state: SenderState;
  stop: null;
  ledger: SenderLedger;
  /** To the sink. */
  arrivals: TokenArrivals[];
  taken: number;
  /** Milliseconds from X-Sent-Ms to the sink, of all mails since this was asked last. */
  delays: number[];
}

export type Question = keyof PodAnswers;

/** Answers GET /<question> with JSON; an unknown question gets 404. */
export function answerQuestions(answers: { [Q in Question]?: () => PodAnswers[Q] }): void {
  const server = createServer((request, reply) => {
    const question = (request.url ?? '/').slice(1);
    const answer = Object.hasOwn(answers, question) ? answers[question as Question] : undefined;
    reply.statusCode = answer === undefined ? 404 : 200;
    reply.end(JSON.stringify(answer?.() ?? null));
  });
  server.listen(QUESTIONS_PORT, '127.0.0.1');
}

/** The command that prints the answer, as JSON, in the container of the program. */
export function askingCommand(question: Question): string[] {
  const url = `http://127.0.0.1:${QUESTIONS_PORT}/${question}`;
  const asking = `process.stdout.write(await (await fetch('${url}')).text())`;
  return ['node', '--input-type=module', '--eval', asking];
}
