// The mail system of tests with containers and pods: several ports, each a site of its own for the cluster, that take all
// mail, count how often each X-Token came and under which queue ids, and how long after its X-Sent-Ms.
//   node pod-sink.ts <first port> <ports> <ms between the final dot and its reply>
import type { TokenArrivals } from './load-sink-process.ts';
import { answerQuestions } from './pod-questions.ts';
import { type SinkMail, SmtpSink } from './smtp-sink.ts';

const [firstPort = 0, ports = 1, delayMs = 0] = process.argv.slice(2).map(Number);
const HEAD_OCTETS = 4096;
const arrivals = new Map<string, TokenArrivals>();
let taken = 0;
let delaysMs: number[] = [];

function remember({ data, queueId }: SinkMail): void {
  const head = data.toString('latin1', 0, HEAD_OCTETS);
  const token = /^X-Token: (\S+)/m.exec(head)?.[1] ?? '';
  const sentAtMs = Number(/^X-Sent-Ms: (\S+)/m.exec(head)?.[1] ?? Number.NaN);
  const arrival = arrivals.get(token) ?? { token, times: 0, queueIds: [] };
  arrivals.set(token, arrival);
  arrival.times += 1;
  arrival.queueIds.push(queueId);
  taken += 1;
  if (!Number.isNaN(sentAtMs)) delaysMs.push(Math.round(Date.now() - sentAtMs));
}

class TokenSink extends SmtpSink {
  override took(mail: SinkMail): void {
    remember(mail);
    this.commands.length = 0;
  }
}

for (let i = 0; i < ports; i += 1) {
  const sink = new TokenSink({ address: '0.0.0.0', port: firstPort + i, memory: 'keep' });
  sink.behaviour.delayMs = delayMs;
  await sink.listen();
}

answerQuestions({
  arrivals: () => [...arrivals.values()],
  taken: () => taken,
  delays: () => {
    const told = delaysMs;
    delaysMs = [];
    return told;
  },
});
process.once('SIGTERM', () => process.exit(0));
console.log(`takes mail at ${ports} ports from ${firstPort}`);
