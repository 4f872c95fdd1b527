// The programs that tests run in containers and pods, as files of one folder: for a ConfigMap, or a folder to mount. They
// run on the Node of our image and import nothing but each other.
import { readFileSync } from 'node:fs';
import type { SenderHalf } from './load-ledger.ts';
import type { TokenArrivals } from './load-sink-process.ts';
import type { SenderLedger } from './pod-questions.ts';

const FILES = [
  'certificate.ts',
  'load-client.ts',
  'load-sender.ts',
  'pod-questions.ts',
  'pod-sender.ts',
  'pod-sink.ts',
  'sink-script.ts',
  'sink-session.ts',
  'smtp-sink.ts',
];

/** Text by name of file. */
export function podPrograms(): Record<string, string> {
  const programs: Record<string, string> = { 'package.json': '{ "type": "module" }\n' };
  for (const file of FILES) programs[file] = readFileSync(new URL(file, import.meta.url), 'utf8');
  return programs;
}

/** The sender's half of the ledger, as it was before it became JSON. */
export function senderHalf({ accepted, unknown, refused }: SenderLedger): SenderHalf {
  return { accepted: new Map(accepted), unknown: new Set(unknown), refused: new Set(refused) };
}

/** Arrivals of mails whose tokens begin with `prefix`. */
export function arrivalsOf(prefix: string, arrivals: readonly TokenArrivals[]): TokenArrivals[] {
  return arrivals.filter(({ token }) => token.startsWith(`${prefix}-`));
}
