// `npm start`: a whole Postrider on this machine. Starts a nats-server and all services as children, keeps them running,
// and stops them in order. `bootstrap.mjs` has set up what was missing.
//
// Fails: anything that the person at the terminal can change (configuration, taken ports, a data directory in use) ->
// its words, exit 1. After `kill -9` of this process the services stop by themselves, and the next start ends its
// nats-server; mail that was accepted is there.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { hostname as machineName } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '#libs/config/load.ts';
import { makeSelfSigned } from '#libs/tls/self-signed.ts';
import { Cluster } from './cluster.ts';
import { type DataLock, lockData } from './data-lock.ts';
import { findNatsServer } from './find-nats.mjs';
import type { KeptChild } from './kept-child.ts';
import { endLeftovers } from './leftovers.ts';
import { natsChild } from './nats-child.ts';
import { checkPorts, choosePort } from './ports.ts';
import { serviceChild } from './service-child.ts';
import { readSettings, type Settings, wantedPorts } from './settings.ts';
import { parseStartOptions, SERVICES, type ServiceName, type StartOptions } from './start-options.ts';
import { StopRequests } from './stop-requests.ts';
import { StartTrouble } from './trouble.ts';
import { shownPath, welcome } from './welcome.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const say = (line: string) => console.log(`postrider: ${line}`);

/** Makes the sample's certificate when neither of its files is there. */
function makeCertificate({ config }: Settings, dataDir: string): void {
  const { tls } = config;
  if (tls === undefined || existsSync(tls.certificate) || existsSync(tls.key)) return;
  if (!resolve(tls.certificate).startsWith(`${dataDir}/`) || !resolve(tls.key).startsWith(`${dataDir}/`))
    return;
  const { certificate, key } = makeSelfSigned(config.hostname ?? machineName());
  for (const file of [tls.certificate, tls.key]) mkdirSync(dirname(file), { recursive: true });
  writeFileSync(tls.key, key, { mode: 0o600 });
  writeFileSync(tls.certificate, certificate);
  say(`made a self-signed certificate: ${shownPath(tls.certificate)}`);
}

interface Server {
  url: string;
  child: KeptChild | undefined;
}

/** The server to use: one that is named, else one of our own. */
async function chooseServer(settings: Settings, options: StartOptions, dataDir: string): Promise<Server> {
  const { config } = settings;
  const named = process.env.NATS_URL || (settings.namesNatsServer ? config.nats.url : '');
  if (named !== '') return { url: named, child: undefined };
  const port = options.natsPort || (await choosePort());
  await checkPorts([{ key: 'nats port', address: '127.0.0.1', port, option: '--nats-port' }]);
  const { path } = await findNatsServer({ log: say });
  const child = natsChild({ program: path, dataDir, port, config, say });
  return { url: `nats://127.0.0.1:${port}`, child };
}

function makeServices(settings: Settings, options: StartOptions, dataDir: string, natsUrl: string) {
  const children = (service: ServiceName) =>
    Array.from({ length: options.instances[service] }, (_, i) => {
      const instance = i + 1;
      const configFile = settings.write(service, instance, natsUrl);
      return serviceChild({ service, instance, root: ROOT, dataDir, configFile, natsUrl, say });
    });
  return Object.fromEntries(SERVICES.map((service) => [service, children(service)])) as Record<
    ServiceName,
    KeptChild[]
  >;
}

async function runCluster(options: StartOptions, dataDir: string, stops: StopRequests): Promise<void> {
  const settings = await readSettings(options);
  await endLeftovers(join(dataDir, 'run'), say);
  await checkPorts(wantedPorts(settings, options));
  makeCertificate(settings, dataDir);
  const server = await chooseServer(settings, options, dataDir);
  const services = makeServices(settings, options, dataDir, server.url);
  const cluster = new Cluster({ nats: server.child, services, say });
  stops.onSecond(() => cluster.killServices());
  try {
    await Promise.race([cluster.start(), stops.first]);
    if (!stops.isAsked) {
      const instances = cluster.instances.map(({ name, ready }) => ({ name, ready }));
      console.log(welcome({ config: settings.config, dataDir, nats: server.url, instances }));
    }
    await stops.first;
  } finally {
    await cluster.stop();
  }
}

async function main(): Promise<void> {
  process.chdir(ROOT);
  const options = parseStartOptions(process.argv.slice(2));
  const stops = new StopRequests(process, say);
  const dataDir = resolve(options.data);
  for (const part of ['run', 'log']) mkdirSync(join(dataDir, part), { recursive: true });
  let lock: DataLock | undefined;
  try {
    lock = lockData(dataDir);
    await runCluster(options, dataDir, stops);
    say('stopped; the next start goes on with the mail that is here');
  } finally {
    lock?.release();
  }
}

try {
  await main();
  process.exit(0);
} catch (error) {
  const isTheirs = error instanceof StartTrouble || error instanceof ConfigError;
  console.error(isTheirs ? `postrider: ${error.message}` : error);
  process.exit(1);
}
