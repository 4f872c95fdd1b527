// The configuration that the services get: the user's file with the options of the command line and the data directory
// put in. It is written to the run directory, one file per instance that differs.
//
// Fails: anything wrong in the user's file -> ConfigError with that file's name and lines.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Document, parseDocument } from 'yaml';
import { ConfigError, parseConfig } from '#libs/config/load.ts';
import type { Config } from '#libs/config/schema.ts';
import { choosePort, type WantedPort } from './ports.ts';
import type { ServiceName, StartOptions } from './start-options.ts';

/** What the sample calls the data directory. */
const SAMPLE_DATA = 'var/local/';
/** Listeners of a second ingress on this machine are so many ports higher. */
const PORTS_APART = 100;

export interface Settings {
  config: Config;
  /** True when the file names a server: then none is started. */
  namesNatsServer: boolean;
  /** Writes the file for an instance (from 1) of a service; returns its path. */
  write(service: ServiceName, instance: number, natsUrl: string): string;
}

function readConfigText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ConfigError(file, [{ path: [], message: `cannot be read (${reason})` }], () => undefined);
  }
}

function listenerPosition(config: Config, isImplicit: boolean): number {
  return config.listeners.findIndex(
    ({ tls, port }) => (tls === 'implicit') === isImplicit && port !== undefined,
  );
}

function applyPorts(document: Document, config: Config, options: StartOptions): void {
  const overrides: [number | undefined, boolean][] = [
    [options.smtpPort, false],
    [options.smtpsPort, true],
  ];
  for (const [port, isImplicit] of overrides) {
    const position = listenerPosition(config, isImplicit);
    if (port !== undefined && position >= 0) document.setIn(['listeners', position, 'port'], port);
  }
  if (options.adminPort !== undefined) document.setIn(['admin', 'port'], options.adminPort);
  if (options.logLevel !== undefined) document.setIn(['telemetry', 'logLevel'], options.logLevel);
}

/** Files that the sample keeps in var/local go to the data directory. */
function applyDataDir(document: Document, config: Config, dataDir: string): void {
  const move = (path: (string | number)[], file: string) => {
    if (file.startsWith(SAMPLE_DATA)) document.setIn(path, join(dataDir, file.slice(SAMPLE_DATA.length)));
  };
  config.localDomains.forEach(({ gateway }, i) => {
    if ('maildir' in gateway) move(['localDomains', i, 'gateway', 'maildir'], gateway.maildir);
  });
  if (config.tls !== undefined) {
    move(['tls', 'certificate'], config.tls.certificate);
    move(['tls', 'key'], config.tls.key);
  }
}

/** Ports of a second instance on one machine: its own. */
function applyInstance(document: Document, service: ServiceName, instance: number, config: Config): void {
  if (instance === 1) return;
  if (service === 'queue') document.setIn(['admin', 'port'], 0);
  if (service !== 'ingress') return;
  config.listeners.forEach(({ port, unixSocket }, i) => {
    const key = ['listeners', i];
    if (port) document.setIn([...key, 'port'], port + PORTS_APART * (instance - 1));
    if (unixSocket !== undefined) document.setIn([...key, 'unixSocket'], `${unixSocket}.${instance}`);
  });
}

/** Port 0 becomes one that is free, so that everybody may be told. */
async function choosePorts(document: Document): Promise<void> {
  const { listeners, admin } = parseConfig('', document.toString());
  for (const [i, { port }] of listeners.entries()) {
    if (port === 0) document.setIn(['listeners', i, 'port'], await choosePort());
  }
  if (admin.port === 0) document.setIn(['admin', 'port'], await choosePort());
}

export async function readSettings(options: StartOptions): Promise<Settings> {
  const file = options.config;
  const dataDir = resolve(options.data);
  const text = readConfigText(file);
  const given = parseConfig(file, text);
  const parsed = parseDocument(text);
  const document: Document = parsed.contents === null ? parseDocument('{}') : parsed;
  applyPorts(document, given, options);
  applyDataDir(document, given, dataDir);
  await choosePorts(document);
  const config = parseConfig(file, document.toString());
  return {
    config,
    namesNatsServer: document.hasIn(['nats', 'url']),
    write(service, instance, natsUrl) {
      const mine = document.clone();
      mine.commentBefore = ` Written by npm start from ${file}: changes here are lost.`;
      mine.setIn(['nats', 'url'], natsUrl);
      applyInstance(mine, service, instance, config);
      const path = join(dataDir, 'run', `${service}-${instance}.yaml`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, mine.toString());
      return path;
    },
  };
}

/** Every port that the services of this start will listen on. */
export function wantedPorts({ config }: Settings, options: StartOptions): WantedPort[] {
  const wanted: WantedPort[] = [];
  config.listeners.forEach(({ address, port, tls }, i) => {
    if (port === undefined) return;
    const option = tls === 'implicit' ? '--smtps-port' : '--smtp-port';
    const isFirst = listenerPosition(config, tls === 'implicit') === i;
    for (let instance = 0; instance < options.instances.ingress; instance += 1) {
      wanted.push({
        key: `listeners[${i}].port`,
        address,
        port: port === 0 ? 0 : port + PORTS_APART * instance,
        option: isFirst ? option : '',
      });
    }
  });
  const { address, port } = config.admin;
  if (options.instances.queue > 0) wanted.push({ key: 'admin.port', address, port, option: '--admin-port' });
  return wanted;
}
