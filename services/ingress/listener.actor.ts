// One address, port or Unix socket where clients connect.
//
// Fails: an address that cannot be had -> an error that names it. A Unix socket that nobody listens at any more is
// removed; one that somebody listens at is an error.
import { lstatSync, unlinkSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Config } from '#libs/config/schema.ts';
import type { ServerPolicy } from '#libs/smtp/server.machine.ts';
import type { BalancedPeers, ProxyRules } from './balanced-peers.actor.ts';
import { type Networks, normalizedAddress } from './client-address.ts';
import type { SessionOrigin } from './session.actor.ts';

export type ListenerConfig = Config['listeners'][number];

export interface ListenerOptions {
  config: ListenerConfig;
  /** What is spoken there: `none` for a listener that would offer STARTTLS but has no certificate. */
  tls: SessionOrigin['tls'];
  policies: { relay: ServerPolicy; noRelay: ServerPolicy };
  relayNetworks: Networks;
  /** Absent when peers are the clients themselves. */
  proxy: { peers: BalancedPeers; rules: ProxyRules } | undefined;
  onClient: (socket: Socket, origin: SessionOrigin) => void;
  onTrouble: (reason: string) => void;
}

/** What the service tells of it when it is ready. */
export interface ListenerReady {
  /** "192.0.2.1" or "::1"; absent for a Unix socket. */
  address?: string;
  /** The real one. */
  port?: number;
  unixSocket?: string;
  role: 'mx' | 'relay';
  tls: SessionOrigin['tls'];
}

const BACKLOG = 1024;
/** What a paused socket reads ahead, beside one read. */
const READ_AHEAD_OCTETS = 16 * 1024;

export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;

  constructor(options: ListenerOptions) {
    this.#options = options;
    const server = { noDelay: true, allowHalfOpen: true, highWaterMark: READ_AHEAD_OCTETS };
    this.#server = createServer(server, (socket) => this.#accept(socket));
  }

  /** Throws when the address cannot be had. */
  async start(): Promise<ListenerReady> {
    const { config, tls, onTrouble } = this.#options;
    const { address, port, unixSocket, role } = config;
    if (unixSocket !== undefined) {
      await removeStale(unixSocket);
      await this.#listen({ path: unixSocket }, `unix:${unixSocket}`);
    } else {
      await this.#listen({ host: address, port: port ?? 0 }, `${address}:${port ?? 0}`);
    }
    this.#server.on('error', (error) => onTrouble(`listener: ${error.message}`));
    if (unixSocket !== undefined) return { unixSocket, role, tls };
    return { address, port: (this.#server.address() as AddressInfo).port, role, tls };
  }

  /** Takes no more clients; those that are there stay. */
  stop(): void {
    this.#server.close();
  }

  #listen(where: { host: string; port: number } | { path: string }, name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const refuse = (error: NodeJS.ErrnoException) => {
        reject(new Error(`cannot listen at ${name}: ${error.code ?? error.message}`));
      };
      this.#server.once('error', refuse);
      this.#server.listen({ ...where, backlog: BACKLOG }, () => {
        this.#server.off('error', refuse);
        resolve();
      });
    });
  }

  #accept(socket: Socket): void {
    const { config, tls, proxy } = this.#options;
    const { remoteAddress } = socket;
    if (config.unixSocket !== undefined) {
      this.#tell(socket, { clientAddress: '', peer: 'client', mayRelay: true }); // its file decides who may connect
      return;
    }
    if (remoteAddress === undefined) {
      socket.destroy(); // gone again
      return;
    }
    const address = normalizedAddress(remoteAddress);
    if (proxy === undefined) {
      this.#tellClient(socket, address);
      return;
    }
    proxy.peers.accept({ socket, tls, address }, proxy.rules, (clientAddress) => {
      if (clientAddress !== undefined) this.#tellClient(socket, clientAddress);
      // Whoever it is, the right of the balancer's network to relay is not theirs.
      else this.#tell(socket, { clientAddress: address, peer: 'balancer', mayRelay: false });
    });
  }

  #tellClient(socket: Socket, clientAddress: string): void {
    const mayRelay = this.#options.relayNetworks.holds(clientAddress);
    this.#tell(socket, { clientAddress, peer: 'client', mayRelay });
  }

  #tell(
    socket: Socket,
    { mayRelay, ...who }: Pick<SessionOrigin, 'clientAddress' | 'peer'> & { mayRelay: boolean },
  ): void {
    const { config, tls, policies, onClient } = this.#options;
    const { role } = config;
    const policy = mayRelay && role === 'relay' ? policies.relay : policies.noRelay;
    onClient(socket, { policy, tls, role, ...who });
  }
}

/** Removes the file of a Unix socket whose process has died. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`cannot listen at unix:${path}: there is a file that is no socket`);
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (isAlive) throw new Error(`cannot listen at unix:${path}: another process does`);
  unlinkSync(path);
}
