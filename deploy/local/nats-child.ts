// The nats-server of this start: loopback only, JetStream with every write synced, its store in the data directory.
//
// Fails: see kept-child; after a crash it gets the same port again, so that the services find it.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Config } from '#libs/config/schema.ts';
import { KeptChild } from './kept-child.ts';
import { wait } from './processes.ts';

const GRACE_MS = 30_000;
const LOOK_EVERY_MS = 20;
const GIB = 1024 ** 3;
/** Beside what SPOOL and STORE may take: settle log, states of mail, space not yet compacted. */
const OTHER_STREAMS_OCTETS = 20 * GIB;
const MEMORY_OCTETS_MAX = 4 * GIB;

export interface NatsOptions {
  program: string;
  dataDir: string;
  port: number;
  config: Config;
  say: (line: string) => void;
}

/** SPOOL and STORE reserve their sizes, so the store must be said to be larger. */
function storeOctets({ nats }: Config): number {
  return 2 * nats.spoolStreams * nats.spoolSizeMax + OTHER_STREAMS_OCTETS;
}

function configText({ dataDir, port, config }: NatsOptions): string {
  return [
    '# Written by npm start: changes here are lost.',
    'host: 127.0.0.1',
    `port: ${port}`,
    'server_name: postrider-local',
    'max_payload: 8MB',
    'jetstream {',
    `  store_dir: ${JSON.stringify(join(dataDir, 'nats'))}`,
    '  sync_interval: always',
    '  max_mem: 256MB',
    `  max_file: ${storeOctets(config)}`,
    '}',
    '',
  ].join('\n');
}

/** Resolves once the server greets a client, which it does when its streams are recovered. */
async function greeted(port: number, isOver: () => boolean): Promise<void> {
  for (;;) {
    const greeting = await new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.once('data', (data) => {
        socket.destroy();
        resolve(data.toString('latin1', 0, 5));
      });
      socket.once('error', () => resolve(''));
      socket.once('close', () => resolve(''));
    });
    if (greeting === 'INFO ') return;
    if (isOver()) throw new Error('nats-server ended');
    await wait(LOOK_EVERY_MS);
  }
}

export function natsConfigFile(dataDir: string): string {
  return join(dataDir, 'run', 'nats-server.conf');
}

export function natsChild(options: NatsOptions): KeptChild {
  const { program, dataDir, port, say } = options;
  const configFile = natsConfigFile(dataDir);
  mkdirSync(join(dataDir, 'nats'), { recursive: true });
  writeFileSync(configFile, configText(options));
  const memory = Math.min(MEMORY_OCTETS_MAX, Math.floor(totalmem() / 4));
  return new KeptChild({
    name: 'nats-server',
    logFile: join(dataDir, 'log', 'nats-server.log'),
    pidFile: join(dataDir, 'run', 'nats-server.pid'),
    graceMs: GRACE_MS,
    say,
    spawn: (log) =>
      spawn(program, ['--config', configFile], {
        detached: true,
        stdio: ['ignore', log, log],
        env: { ...process.env, GOMEMLIMIT: String(memory) },
      }),
    whenReady: async (child) => {
      await greeted(port, () => child.exitCode !== null || child.signalCode !== null);
      return { address: `127.0.0.1:${port}` };
    },
  });
}
