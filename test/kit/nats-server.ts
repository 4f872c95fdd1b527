// A real nats-server for tests: JetStream with sync always, its own store in a temporary folder, loopback only.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { cachedNatsServer, findNatsServer } from '../../deploy/local/find-nats.mjs';
import { freePort } from './cluster-ports.ts';

export interface NatsOptions {
  /** Its name; "test" when absent. */
  name?: string;
  /** Octets that JetStream may store; 20 GB when absent. */
  storageMax?: number;
  /** Octets of its max_payload; 8 MB when absent. */
  payloadMax?: number;
  /** Where its folder is made; the system's place when absent. */
  parentFolder?: string;
  /** More lines of its configuration: users, TLS. */
  more?: string;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** The folder of its store. */
  readonly directory: string;
  /** Ends it; resolves when it is gone. SIGSTOP and SIGCONT only reach it. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and store, with another max_payload when one is given; resolves when it is healthy. */
  restart(payloadMax?: number): Promise<void>;
  /** Gives it other lines of configuration while it runs; clients that may not be there any more are sent away. */
  reload(more: string): Promise<void>;
  /** All that it logged. */
  log(): Promise<string>;
  /** Ends it and removes its store. */
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 20;

/** The program. */
async function natsProgram(): Promise<string> {
  return cachedNatsServer() ?? (await findNatsServer({ log: () => {} })).path;
}

/** Starts the program with a configuration file; it ends when it is killed. */
function launchNats(program: string, configFile: string): ChildProcess {
  const env = { ...process.env, GOMAXPROCS: '2' };
  const child = spawn(program, ['-c', configFile], { stdio: 'ignore', env });
  child.on('error', () => {});
  return child;
}

/** What `/healthz` of a monitoring port says, without a client and its rights; undefined when nobody answers. */
async function healthOf(monitorPort: number): Promise<number | undefined> {
  const answer = await fetch(`http://127.0.0.1:${monitorPort}/healthz`, {
    signal: AbortSignal.timeout(2000),
  }).catch(() => undefined);
  await answer?.text();
  return answer?.status;
}

async function untilReady(monitorPort: number, child: ChildProcess): Promise<void> {
  const untilMs = Date.now() + READY_WITHIN_MS;
  while (Date.now() < untilMs) {
    if (child.exitCode !== null) throw new Error(`nats-server ended with ${child.exitCode}`);
    if ((await healthOf(monitorPort)) === 200) return;
    await pause(LOOK_EVERY_MS);
  }
  throw new Error('JetStream is not healthy');
}

function configText(directory: string, ports: { client: number; monitor: number }, options: NatsOptions) {
  const store = JSON.stringify(join(directory, 'js'));
  return `
host: 127.0.0.1
port: ${ports.client}
http: "127.0.0.1:${ports.monitor}"
server_name: ${options.name ?? 'test'}
log_file: ${JSON.stringify(join(directory, 'nats.log'))}
max_payload: ${options.payloadMax ?? 8 * 1024 ** 2}
jetstream { store_dir: ${store}, sync_interval: always, max_mem: 256MB, max_file: ${options.storageMax ?? 20_000_000_000} }
${options.more ?? ''}
`;
}

/** A server that answers. */
export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const { server, healthy } = await launchServer(options);
  await healthy();
  return server;
}

/** A server that may not be healthy yet: one of a cluster is only with others. */
export async function launchServer(
  options: NatsOptions = {},
): Promise<{ server: NatsServer; healthy: () => Promise<void> }> {
  const directory = await mkdtemp(join(options.parentFolder ?? tmpdir(), 'postrider-nats-'));
  const ports = { client: await freePort(), monitor: await freePort() };
  const configFile = join(directory, 'nats.conf');
  const configure = (changed: Partial<NatsOptions> = {}) =>
    writeFile(configFile, configText(directory, ports, { ...options, ...changed }));
  await configure();
  const program = await natsProgram();
  let child = launchNats(program, configFile);
  const server: NatsServer = {
    url: `nats://127.0.0.1:${ports.client}`,
    port: ports.client,
    directory,
    get pid() {
      return child.pid!;
    },
    kill: (signal) => endNats(child, signal),
    restart: async (payloadMax) => {
      if (payloadMax !== undefined) await configure({ payloadMax });
      child = launchNats(program, configFile);
      await untilReady(ports.monitor, child);
    },
    reload: async (more) => {
      await configure({ more });
      child.kill('SIGHUP');
    },
    log: () => readFile(join(directory, 'nats.log'), 'utf8'),
    stop: async () => {
      await endNats(child, 'SIGKILL');
      await rm(directory, { recursive: true, force: true });
    },
  };
  return { server, healthy: () => untilReady(ports.monitor, child) };
}

/** Sends the signal; resolves when the server is gone, for SIGSTOP and SIGCONT at once. */
async function endNats(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill(signal);
  if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await gone;
}
