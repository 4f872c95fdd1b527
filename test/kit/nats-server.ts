// A real nats-server for tests: JetStream with sync always, its own store in a temporary folder, loopback only.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connectLink } from '#libs/nats/link.ts';
import { cachedNatsServer, findNatsServer } from '../../deploy/local/find-nats.mjs';
import { freePort } from './cluster-ports.ts';

export interface NatsOptions {
  /** Octets that JetStream may store; 20 GB when absent. */
  storageMax?: number;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** The folder of its store. */
  readonly directory: string;
  /** Ends it; resolves when it is gone. SIGSTOP and SIGCONT only reach it. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and store. */
  restart(): Promise<void>;
  /** Ends it and removes its store. */
  stop(): Promise<void>;
}

async function binary(): Promise<string> {
  return cachedNatsServer() ?? (await findNatsServer({ log: () => {} })).path;
}

async function launch(path: string, directory: string): Promise<ChildProcess> {
  const env = { ...process.env, GOMAXPROCS: '2' };
  const child = spawn(path, ['-c', join(directory, 'nats.conf')], { stdio: 'ignore', env });
  child.on('error', () => {});
  return child;
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) throw new Error(`nats-server ended with ${child.exitCode}`);
  const link = await connectLink({ url, service: 'probe' });
  try {
    for (let tries = 0; tries < 200; tries++) {
      if ((await link.request('$JS.API.INFO', new Uint8Array(0), 500)).kind === 'answer') return;
      await pause(50);
    }
    throw new Error('JetStream does not answer');
  } finally {
    await link.close();
  }
}

/** A server that answers. */
export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const directory = await mkdtemp(join(tmpdir(), 'postrider-nats-'));
  const port = await freePort();
  const url = `nats://127.0.0.1:${port}`;
  const storageMax = options.storageMax ?? 20_000_000_000;
  const config = `
host: 127.0.0.1
port: ${port}
server_name: test
max_payload: 8MB
jetstream { store_dir: ${JSON.stringify(join(directory, 'js'))}, sync_interval: always, max_mem: 64MB, max_file: ${storageMax} }
`;
  await writeFile(join(directory, 'nats.conf'), config);
  const path = await binary();
  let child = await launch(path, directory);
  const start = async () => {
    child = await launch(path, directory);
    await untilReady(url, child);
  };
  await untilReady(url, child);
  return {
    url,
    port,
    directory,
    get pid() {
      return child.pid!;
    },
    kill: (signal) => end(child, signal),
    restart: start,
    stop: async () => {
      await end(child, 'SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill(signal);
  if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await gone;
}
