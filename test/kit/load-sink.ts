// The receiving half of the ledger, as a process of its own so that it costs the sender nothing: takes every mail, counts
// how often each X-Token came and under which queue ids, how long after its X-Sent-Ms, and how many connections there are.
// Run by LoadSink.start (load-sink-process.ts); answers questions over its IPC channel and ends with it.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { Arrivals } from './load-arrivals.ts';
import {
  type Asked,
  type LoadSinkOptions,
  parentPort,
  SINK_ADDRESSES,
  sinkAddresses,
} from './load-sink-process.ts';

const END = Buffer.from('\r\n.\r\n');
const OPTIONS: LoadSinkOptions = JSON.parse(process.argv[2] ?? '{}');
const { answerAfterMs = 0, answerSpreadMs = 0, replyAfterMs = 0, scripted } = OPTIONS;
const { addresses = SINK_ADDRESSES.length } = OPTIONS;

const arrivals = new Arrivals();
/** Forward-paths that were refused once. */
const refusedOnce = new Set<string>();
let isRefusing = false;
const connections = { now: 0, most: 0, total: 0 };

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
  #reversePath = '';
  #recipients: string[] = [];

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
    arrivals.add(this.#input.subarray(0, end), scripted && this.#recipients, this.#reversePath);
    this.#input = this.#input.subarray(end + END.length);
    this.#phase = 'commands';
    const afterMs = this.#answerAfterMs();
    if (afterMs > 0) setTimeout(() => this.#say('250 2.0.0 taken\r\n'), afterMs);
    else this.#answers += '250 2.0.0 taken\r\n';
    return true;
  }

  #answerAfterMs(): number {
    if (scripted && this.#recipients.some((path) => path.startsWith('slow'))) return scripted.slowAfterMs;
    return answerAfterMs + Math.random() * answerSpreadMs;
  }

  /** Its reply; the transaction's addresses are kept. */
  #takeAddress(verb: string, path: string): string {
    if (verb === 'MAIL') {
      this.#reversePath = path;
      this.#recipients = [];
      return '250 2.1.0 ok\r\n';
    }
    if (isRefusing) return '450 4.2.0 not now\r\n';
    if (path.startsWith('grey') && !refusedOnce.has(path)) {
      refusedOnce.add(path);
      return '450 4.7.1 greylisted\r\n';
    }
    this.#recipients.push(path);
    return '250 2.1.5 ok\r\n';
  }

  #takeCommand(): boolean {
    const end = this.#input.indexOf('\r\n');
    if (end < 0) return false;
    const verb = this.#input.toString('latin1', 0, Math.min(end, 4)).toUpperCase();
    if (scripted && (verb === 'MAIL' || verb === 'RCPT')) {
      const path = /<([^>]*)>/.exec(this.#input.toString('latin1', 0, end))?.[1] ?? '';
      this.#input = this.#input.subarray(end + 2);
      this.#answers += this.#takeAddress(verb, path);
      return true;
    }
    this.#input = this.#input.subarray(end + 2);
    if (verb === 'EHLO') this.#answers += '250-load.sink.test\r\n250-8BITMIME\r\n250 PIPELINING\r\n';
    else if (verb === 'DATA' && scripted && this.#recipients.length === 0) {
      this.#answers += '554 5.5.1 no recipient\r\n';
    } else if (verb === 'DATA') {
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
parent.onQuestion((question) => parent.say({ answer: answerTo(question) }));

function answerTo(asked: Asked): unknown {
  if (typeof asked === 'object') return asked.missing.filter((token) => !arrivals.has(token));
  switch (asked) {
    case 'taken':
      return arrivals.taken;
    case 'arrivals':
      return arrivals.list();
    case 'latencies':
      return arrivals.takeLatencies();
    case 'connections': {
      const seen = { ...connections };
      connections.most = connections.now;
      return seen;
    }
    case 'refuse':
    case 'accept':
      isRefusing = asked === 'refuse';
      return true;
  }
}
process.on('disconnect', () => process.exit(0));
