// The receiving half of the ledger, as a process of its own so that it costs the sender nothing: takes every mail, counts
// how often each X-Token came and under which queue ids, how long after its X-Sent-Ms, and how many connections there are.
// Run by LoadSink.start (load-sink-process.ts); answers questions over its IPC channel and ends with it.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type LoadSinkOptions, parentPort, SINK_ADDRESSES, sinkAddresses } from './load-sink-process.ts';

const END = Buffer.from('\r\n.\r\n');
const HEAD_OCTETS = 4096;
const OPTIONS: LoadSinkOptions = JSON.parse(process.argv[2] ?? '{}');
const { answerAfterMs = 0, replyAfterMs = 0, addresses = SINK_ADDRESSES.length } = OPTIONS;

interface Arrival {
  times: number;
  queueIds: string[];
}

const arrivals = new Map<string, Arrival>();
let taken = 0;
let latencies: number[] = [];
const connections = { now: 0, most: 0, total: 0 };

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

/** Counts a connection as its host does: from the handshake until the client has ended it. */
function count(socket: Socket): void {
  connections.now += 1;
  connections.total += 1;
  // The system may tell of a new connection before it tells, in the same turn, that an older one has ended.
  setImmediate(() => {
    connections.most = Math.max(connections.most, connections.now);
  });
  let isCounted = true;
  const uncount = (): void => {
    if (isCounted) connections.now -= 1;
    isCounted = false;
  };
  socket.once('end', uncount);
  socket.once('close', uncount);
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
    this.#say('220 load.sink.test ESMTP\r\n');
  }

  #read(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    while (this.#phase === 'data' ? this.#takeMail() : this.#takeCommand());
    if (this.#answers === '') return;
    this.#say(this.#answers);
    this.#answers = '';
  }

  #say(replies: string): void {
    if (replyAfterMs === 0) this.#socket.write(replies);
    else setTimeout(() => this.#socket.write(replies), replyAfterMs);
  }

  #bye(replies: string): void {
    const end = () => this.#socket.end(replies, () => undefined);
    if (replyAfterMs === 0) end();
    else setTimeout(end, replyAfterMs);
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
    if (answerAfterMs > 0) setTimeout(() => this.#say('250 2.0.0 taken\r\n'), answerAfterMs);
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
    } else if (verb === 'QUIT') this.#bye(`${this.#answers}221 2.0.0 bye\r\n`);
    else this.#answers += '250 2.0.0 ok\r\n';
    if (verb === 'QUIT') this.#answers = '';
    return true;
  }
}

const parent = parentPort();
/** Listens at that address, at the port of the first one. */
function listen(address: string, port: number): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    count(socket);
    new Session(socket);
  });
  return new Promise((resolve) => {
    server.listen({ port, host: address, backlog: 2000 }, () =>
      resolve((server.address() as AddressInfo).port),
    );
  });
}

async function listenAll(): Promise<void> {
  const [first, ...others] = sinkAddresses(addresses);
  const port = await listen(first!, 0);
  for (const address of others) await listen(address, port);
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
      break;
    case 'connections':
      parent.say({ answer: { ...connections } });
      connections.most = connections.now;
  }
});
process.on('disconnect', () => process.exit(0));
