// Ports: one that is free, and whether those that the configuration names are.
import { createServer } from 'node:net';
import { StartTrouble } from './trouble.ts';

/** Below the range from which systems take ports for outgoing connections, so that a restart finds its port free. */
const CHOSEN_FROM = 12_000;
const CHOSEN_TO = 32_000;
const TRIES = 100;

/** A port that the configuration wants, and how to change it. */
export interface WantedPort {
  key: string;
  address: string;
  port: number;
  /** The option that overrides the key; '' when there is none. */
  option: string;
}

/** '' when something can listen there, else the error code. */
function troubleListening(address: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, address, () => server.close(() => resolve('')));
  });
}

const MEANING: Record<string, string> = {
  EADDRINUSE: 'is taken by another program',
  EACCES: 'needs more rights (ports below 1024 are for root)',
  EADDRNOTAVAIL: 'is not an address of this machine',
};

function sentence({ key, address, port, option }: WantedPort, code: string): string {
  const change = option === '' ? `change ${key}` : `change ${key} or give ${option}`;
  return `${key}: ${address}:${port} ${MEANING[code] ?? code}; ${change}`;
}

/** Throws StartTrouble that names every port that cannot be had. Port 0 always can. */
export async function checkPorts(wanted: readonly WantedPort[]): Promise<void> {
  const troubles: string[] = [];
  for (const one of wanted) {
    const code = one.port === 0 ? '' : await troubleListening(one.address, one.port);
    if (code !== '') troubles.push(sentence(one, code));
  }
  if (troubles.length > 0) throw new StartTrouble(troubles.join('\n'));
}

/** A port of 127.0.0.1 that is free now. */
export async function choosePort(): Promise<number> {
  for (let i = 0; i < TRIES; i += 1) {
    const port = CHOSEN_FROM + Math.floor(Math.random() * (CHOSEN_TO - CHOSEN_FROM));
    if ((await troubleListening('127.0.0.1', port)) === '') return port;
  }
  throw new StartTrouble(`no free port between ${CHOSEN_FROM} and ${CHOSEN_TO} on 127.0.0.1`);
}
