// One instance of a service as a child: forked with an IPC channel, by which it says that it is ready and by whose end it
// knows that the starter is gone.
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { KeptChild, type Ready } from './kept-child.ts';
import type { ServiceName } from './start-options.ts';

/** How long an instance may take to finish what it is doing. */
const GRACE_MS: Record<ServiceName, number> = {
  ingress: 20_000,
  delivery: 30_000,
  queue: 20_000,
  resolver: 10_000,
};

export interface ServiceOptions {
  service: ServiceName;
  /** From 1. */
  instance: number;
  root: string;
  dataDir: string;
  configFile: string;
  natsUrl: string;
  say: (line: string) => void;
}

function whenReady(child: ChildProcess): Promise<Ready> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: { ready?: Ready }) => {
      if (message.ready !== undefined) resolve(message.ready);
    });
    child.once('exit', () => reject(new Error('ended')));
  });
}

export function serviceChild(options: ServiceOptions): KeptChild {
  const { service, instance, root, dataDir, configFile, natsUrl, say } = options;
  const name = `${service}-${instance}`;
  return new KeptChild({
    name,
    logFile: join(dataDir, 'log', `${name}.log`),
    pidFile: join(dataDir, 'run', `${name}.pid`),
    graceMs: GRACE_MS[service],
    say,
    whenReady,
    spawn: (log) =>
      fork(join(root, 'services', service, 'main.ts'), ['--config', configFile], {
        cwd: root,
        detached: true,
        stdio: ['ignore', log, log, 'ipc'],
        env: { ...process.env, NATS_URL: natsUrl },
      }),
  });
}
