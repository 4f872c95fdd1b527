// The sender of tests with containers and pods: mails at a steady rate over a few sessions, each with a token; keeps the
// sender's half of the ledger (load-sender.ts).
//   node pod-sender.ts <host> <port> <mails a second> <sites> <base domain> <token prefix>
import { LoadSender } from './load-sender.ts';
import { answerQuestions } from './pod-questions.ts';

const [host = '', port = '', perSecond = '', sites = '', base = '', tokenPrefix = ''] = process.argv.slice(2);
const SESSIONS = 8;
const OCTETS = 4096;

const sender = new LoadSender({
  host,
  ports: [Number(port)],
  sessions: SESSIONS,
  mails: Number.MAX_SAFE_INTEGER,
  octets: OCTETS,
  tokenPrefix,
  perSecond: Number(perSecond),
  reversePath: `sender@${base}`,
  forwardPath: (mail) => `user@s${mail % Number(sites)}.${base}`,
});
let state = 'sending';
void sender.run().then(
  () => {
    state = 'stopped';
  },
  (error: Error) => {
    state = error.message;
  },
);

answerQuestions({
  state: () => ({ state, accepted: sender.accepted.size, troubles: sender.troubles }),
  stop: () => {
    sender.stop();
    return null;
  },
  ledger: () => ({
    accepted: [...sender.accepted],
    unknown: [...sender.unknown],
    refused: [...sender.refused],
  }),
});
process.once('SIGTERM', () => process.exit(0));
console.log(`sends to ${host}:${port}`);
