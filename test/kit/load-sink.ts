// The receiving half of the ledger, as a process of its own so that it costs the sender nothing: takes every mail, counts
// how often each X-Token came and under which queue ids, and how long after its X-Sent-Ms.
// Run by LoadSink.start (load-sink-process.ts); answers questions over its IPC channel and ends with it.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { parentPort, SINK_ADDRESSES } from './load-sink-process.ts';

const END = Buffer.from('\r\n.\r\n');
const HEAD_OCTETS = 4096;
/** How long a mail is taken before it is answered. */
const ANSWER_AFTER_MS = Number(process.argv[2] ?? 0);

interface Arrival {
  times: number;
  queueIds: string[];
}

const arrivals = new Map<string, Arrival>();
let taken = 0;
let latencies: number[] = [];

function remember(mail: Buffer): void {
  const head = mail.toString('latin1', 0, HEAD_OCTETS);
  const token = /^X-Token: (\S+)/m.exec(head)?.[1] ?? '';
  const queueId = /\bid ([0-9a-z]{20})\b/.exec(head)?.[1] ?? '';
  const sentAtMs = Number(/^X-Sent-Ms: (\S+)/m.exec(head)?.[1] ?? Number.NaN);
  const arrival = arrivals.get(token);
  if (arrival === undefined) arrivals.set(token, { times: 1, queueIds: [queueId] });
  else {
    arrival.times += 1;
    arrival.queueIds.push(queueId);
  }
  taken += 1;
  if (!Number.isNaN(sentAtMs)) latencies.push(Date.now() - sentAtMs);
}

class Session {
  readonly #socket: Socket;
  #input: Buffer = Buffer.alloc(0);
  #phase: 'commands' | 'data' = 'commands';
  #searchedTo = 0;
  #answers = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.write('220 load.sink.test ESMTP\r\n');
  }

  #read(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    while (this.#phase === 'data' ? this.#takeMail() : this.#takeCommand());
    if (this.#answers === '') return;
    this.#socket.write(this.#answers);
    this.#answers = '';
  }

  #takeMail(): boolean {
    const end = this.#input.indexOf(END, Math.max(0, this.#searchedTo - END.length));
    if (end < 0) {
      this.#searchedTo = this.#input.length;
      return false;
    }
    remember(this.#input.subarray(0, end));
    this.#input = this.#input.subarray(end + END.length);
    this.#phase = 'commands';
    if (ANSWER_AFTER_MS > 0) setTimeout(() => this.#socket.write('250 2.0.0 taken\r\n'), ANSWER_AFTER_MS);
    else this.#answers += '250 2.0.0 taken\r\n';
    return true;
  }

  #takeCommand(): boolean {
    const end = this.#input.indexOf('\r\n');
    if (end < 0) return false;
    const verb = this.#input.toString('latin1', 0, Math.min(end, 4)).toUpperCase();
    this.#input = this.#input.subarray(end + 2);
    if (verb === 'EHLO') this.#answers += '250-load.sink.test\r\n250-8BITMIME\r\n250 PIPELINING\r\n';
    else if (verb === 'DATA') {
      this.#answers += '354 go ahead\r\n';
      this.#phase = 'data';
      this.#searchedTo = 0;
    } else if (verb === 'QUIT') this.#socket.end(`${this.#answers}221 2.0.0 bye\r\n`, () => undefined);
    else this.#answers += '250 2.0.0 ok\r\n';
    if (verb === 'QUIT') this.#answers = '';
    return true;
  }
}

const parent = parentPort();
/** Listens at that address, at the port of the first one. */
function listen(address: string, port: number): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => new Session(socket));
  return new Promise((resolve) => {
    server.listen({ port, host: address, backlog: 2000 }, () =>
      resolve((server.address() as AddressInfo).port),
    );
  });
}

async function listenAll(): Promise<void> {
  const port = await listen(SINK_ADDRESSES[0]!, 0);
  for (const address of SINK_ADDRESSES.slice(1)) await listen(address, port);
  parent.say({ listening: port });
}

void listenAll();
parent.onQuestion((question) => {
  switch (question) {
    case 'taken':
      return parent.say({ answer: taken });
    case 'arrivals':
      return parent.say({ answer: [...arrivals].map(([token, arrival]) => ({ token, ...arrival })) });
    case 'latencies':
      parent.say({ answer: latencies });
      latencies = [];
  }
});
process.on('disconnect', () => process.exit(0));
