// The history of a mail's attempts: what the hook of each process wrote of them, what the queue logged of the mail, and when it
// came to the sink. Read at the end, for the few mails that need to be explained.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { copiesOf, type Ledger } from '#kit/load-ledger.ts';
import type { TokenArrivals } from '#kit/load-sink-process.ts';
import type { CrashStage } from './crash-stage.ts';

export interface ToExplain {
  reason: string;
  arrival: TokenArrivals;
}

const MAX = 10;
/** Of those that are no fault for certain. */
const DOUBTS_MAX = 2;

/** Why a mail needs to be explained, by its token; of each kind the first ones. */
export function reasonsToExplain({
  ledger,
  slow,
  arrivals,
  inDoubt,
}: {
  ledger: Ledger;
  slow: readonly string[];
  arrivals: readonly TokenArrivals[];
  inDoubt: ReadonlyMap<string, number>;
}): Map<string, string> {
  const isOnce = (arrival: TokenArrivals) =>
    copiesOf(arrival) === 0 && arrival.queueIds.some((id) => inDoubt.has(id));
  const once = arrivals.filter(isOnce).slice(0, DOUBTS_MAX);
  // What is said last of a token holds.
  return new Map([
    ...once.map(({ token }) => [token, 'in doubt, once at the sink'] as const),
    ...slow.slice(0, MAX).map((token) => [token, 'slow'] as const),
    ...ledger.lost.slice(0, MAX).map((token) => [token, 'LOST'] as const),
    ...ledger.unexplained.slice(0, MAX).map(({ token }) => [token, 'UNEXPLAINED'] as const),
  ]);
}

/** Of each of these mails; the lines in the order of the machine's clock. */
export function historiesOf(stage: CrashStage, wanted: readonly ToExplain[], startedAtMs: number): string[] {
  if (wanted.length === 0) return [];
  const files = [stage.traceFolder, join(stage.cluster.folder, 'log')].flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).map((name) => ({ name, path: join(folder, name) })) : [],
  );
  const lines = files.flatMap(({ name, path }) => linesAbout(wanted, name, path));
  return wanted.map((one) => historyOf(one, lines, startedAtMs));
}

interface Line {
  name: string;
  line: string;
}

function linesAbout(wanted: readonly ToExplain[], name: string, path: string): Line[] {
  const ids = wanted.flatMap(({ arrival }) => arrival.queueIds).filter((id) => id !== '');
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => ids.some((id) => line.includes(id))).map((line) => ({ name, line }));
}

function historyOf({ reason, arrival }: ToExplain, lines: readonly Line[], startedAtMs: number): string {
  const { token, queueIds, atMs = [] } = arrival;
  const ids = [...new Set(queueIds)].filter((id) => id !== '');
  const told = lines
    .filter(({ line }) => ids.some((id) => line.includes(id)))
    .map(({ name, line }) => ({ atMs: timeOf(line), text: `${name} ${line.replace(/^\d{13} /, '')}` }));
  const came = atMs.map((ms) => ({ atMs: ms, text: 'the sink has it, its final dot is not answered yet' }));
  const ordered = [...told, ...came].sort((a, b) => a.atMs - b.atMs);
  const shown = ordered.map(({ atMs, text }) => `    ${((atMs - startedAtMs) / 1000).toFixed(3)} ${text}`);
  return [`${reason}: ${token} (${ids.join(' ')})`, ...shown].join('\n');
}

/** Unix ms: the hook's lines begin with it, a log line has it (by the clock of its process). */
function timeOf(line: string): number {
  const own = /^(\d{13}) /.exec(line)?.[1];
  if (own !== undefined) return Number(own);
  return Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? '') || 0;
}
