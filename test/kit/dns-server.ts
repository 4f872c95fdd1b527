// A DNS server for tests: UDP and TCP on one port of loopback. It says what its zone says, or makes the trouble that is
// scripted for a name, and remembers every question.
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { decode, encode, type OptAnswer, type Packet, type Question, TRUNCATED_RESPONSE } from 'dns-packet';
import { answerFrom, type Zone } from './dns-server-zone.ts';

/**
 * truncate: over UDP the answer says that it is longer, and has no records; truncate-always: over TCP too. garbage: the
 * header and the question, then nonsense. forge: wrong id, wrong question, no response, then the true answer. wrong-id:
 * only the first of these. cut: over TCP half the answer. referral: name servers instead of an answer.
 */
export type DnsTrouble =
  | 'servfail'
  | 'refused'
  | 'formerr'
  | 'badvers'
  | 'silent'
  | 'truncate'
  | 'truncate-always'
  | 'cut'
  | 'garbage'
  | 'forge'
  | 'wrong-id'
  | 'referral';

export interface SeenQuestion {
  name: string;
  type: string;
  transport: 'udp' | 'tcp';
  /** Source port. */
  from: number;
}

const RCODES: Record<string, number> = { formerr: 1, servfail: 2, refused: 5 };
const FORGED = '198.51.100.66';

export class DnsTestServer {
  readonly questions: SeenQuestion[] = [];
  zone: Zone;
  /** Milliseconds before every answer. */
  delayMs = 0;
  #udp: UdpSocket | undefined;
  #tcp: Server | undefined;
  #port = 0;
  readonly #troubles = new Map<string, DnsTrouble>();
  readonly #connections = new Set<Socket>();

  constructor(zone: Zone) {
    this.zone = zone;
  }

  /** As the configuration wants it. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Makes trouble for "name", "name TYPE" or "*"; undefined ends it. */
  script(what: string, trouble: DnsTrouble | undefined): this {
    if (trouble === undefined) this.#troubles.delete(what);
    else this.#troubles.set(what, trouble);
    return this;
  }

  /** How often "name" or "name TYPE" was asked. */
  asked(what: string): number {
    return this.questions.filter(({ name, type }) => name === what || `${name} ${type}` === what).length;
  }

  /** Listens; at the same port when it did before. */
  async listen(): Promise<this> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#listenOnce();
        return this;
      } catch (error) {
        await this.close();
        if (tries === 10) throw error;
      }
    }
  }

  async close(): Promise<void> {
    const [udp, tcp] = [this.#udp, this.#tcp];
    this.#udp = undefined;
    this.#tcp = undefined;
    for (const connection of this.#connections) connection.destroy();
    if (udp !== undefined) await new Promise<void>((done) => udp.close(() => done()));
    if (tcp?.listening) await new Promise<void>((done) => tcp.close(() => done()));
  }

  async #listenOnce(): Promise<void> {
    const tcp = createServer((socket) => this.#accept(socket));
    this.#tcp = tcp;
    await new Promise<void>((done, failed) => {
      tcp.once('error', failed);
      tcp.listen(this.#port, '127.0.0.1', done);
    });
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket('udp4');
    await new Promise<void>((done, failed) => {
      udp.once('error', failed);
      udp.bind(port, '127.0.0.1', done);
    });
    this.#udp = udp;
    this.#port = port;
    udp.on('message', (message, from) => this.#onDatagram(message, from));
  }

  #onDatagram(message: Buffer, from: RemoteInfo): void {
    const exchange = this.#read(message, 'udp', from.port);
    for (const answer of answersWith(exchange)) {
      this.#later(() => this.#udp?.send(answer, from.port, from.address));
    }
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket);
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('error', () => socket.destroy());
    // A client of ours sends its question in one piece.
    socket.once('data', (piece) => {
      const exchange = this.#read(piece.subarray(2), 'tcp', socket.remotePort ?? 0);
      for (const answer of answersWith(exchange)) {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        const whole = Buffer.concat([length, answer]);
        this.#later(() => writeInPieces(socket, whole, exchange.trouble));
      }
    });
  }

  #later(act: () => void): void {
    if (this.delayMs === 0) act();
    else setTimeout(act, this.delayMs);
  }

  #read(message: Buffer, transport: 'udp' | 'tcp', from: number): Exchange {
    const { id, questions } = decode(message);
    const question = questions![0]!;
    const { type } = question;
    const name = question.name.toLowerCase();
    this.questions.push({ name, type, transport, from });
    const troubles = this.#troubles;
    const trouble = troubles.get(`${name} ${type}`) ?? troubles.get(name) ?? troubles.get('*');
    return { id: id!, question, answer: answerFrom(this.zone, question), transport, trouble };
  }
}

/** Two writes, so that a reader sees that a stream has no messages; with "cut" only the first. */
function writeInPieces(socket: Socket, whole: Buffer, trouble: DnsTrouble | undefined): void {
  const half = Math.floor(whole.length / 2);
  socket.write(whole.subarray(0, half), () => {
    if (trouble === 'cut') socket.destroy();
    else socket.write(whole.subarray(half));
  });
}

interface Exchange {
  id: number;
  question: Question;
  answer: Packet;
  transport: 'udp' | 'tcp';
  trouble: DnsTrouble | undefined;
}

function answersWith({ id, question, answer, transport, trouble }: Exchange): Buffer[] {
  const base: Packet = { type: 'response', id, questions: [question] };
  const truth = encode({ ...base, ...answer });
  const forged: Packet = { answers: [{ type: 'A', name: question.name, ttl: 3600, data: FORGED }] };
  const wrongId = encode({ ...base, ...forged, id: (id + 1) & 0xffff });
  const empty = encode({ ...base, flags: TRUNCATED_RESPONSE });
  switch (trouble) {
    case undefined:
      return [truth];
    case 'silent':
      return [];
    case 'truncate':
    case 'cut':
      return [transport === 'udp' ? empty : truth];
    case 'truncate-always':
      return [empty];
    case 'garbage':
      return [Buffer.concat([encode({ ...base, ...forged }).subarray(0, -6), Buffer.from([0xff])])];
    case 'wrong-id':
      return [wrongId];
    case 'forge': {
      const other = { ...question, name: `not-${question.name}` };
      const question2 = encode({ ...base, ...forged, questions: [other] });
      return [wrongId, question2, encode({ ...base, ...forged, type: 'query' }), Buffer.alloc(3), truth];
    }
    case 'referral':
      return [encode({ ...base, authorities: [{ type: 'NS', name: 'test', ttl: 60, data: 'ns.test' }] })];
    case 'badvers':
      return [encode({ ...base, additionals: [badVersion] })];
    default:
      return [encode({ ...base, flags: RCODES[trouble]! })];
  }
}

const badVersion: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: 1232,
  extendedRcode: 1,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

/** A server that listens. */
export function startDnsServer(names: Zone['names'] = {}): Promise<DnsTestServer> {
  return new DnsTestServer({ names }).listen();
}
