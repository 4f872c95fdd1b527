// A load balancer for tests that speaks the PROXY protocol: headers as octets, and a relay that puts one before what a client
// says.
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A version 1 header. */
export function headerV1(source: string, destination = source.includes(':') ? '::1' : '127.0.0.1'): Buffer {
  return Buffer.from(`PROXY ${source.includes(':') ? 'TCP6' : 'TCP4'} ${source} ${destination} 50000 25\r\n`);
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

/** A version 2 header: by default PROXY over TCP and IPv4, with one TLV of no meaning (NOOP). */
export function headerV2(source: string): Buffer {
  const address = source.split('.').map(Number);
  const tlv = [0x04, 0, 2, 0, 0];
  return rawV2(0x21, 0x11, [...address, 127, 0, 0, 1, 0xc3, 0x50, 0, 25, ...tlv]);
}

/** A version 2 header of any command, family and body. */
export function rawV2(command: number, family: number, body: readonly number[]): Buffer {
  const length = [body.length >> 8, body.length & 255];
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, ...length, ...body])]);
}

/** LOCAL: the balancer speaks for itself. */
export const LOCAL = rawV2(0x20, 0, []);

export interface Balancer {
  readonly port: number;
  stop(): Promise<void>;
}

/** Sends the header in one packet with the first octets of each client, which therefore must speak first. */
export async function startBalancer(targetPort: number, header: Buffer): Promise<Balancer> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const target = connect(targetPort, '127.0.0.1');
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    client.once('data', (first: Buffer) => {
      target.write(Buffer.concat([header, first]));
      client.pipe(target);
    });
    target.pipe(client);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as { port: number }).port,
    stop: () =>
      new Promise((done) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => done());
      }),
  };
}
