// The history of a mail's attempts: what the hook of each process wrote of them, what the queue logged of the mail, and when it
// came to the sink. Read at the end, for the few mails that need to be explained.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TokenArrivals } from '#kit/load-sink-process.ts';
import type { CrashStage } from './crash-stage.ts';

/** Of each of these mails; the lines in the order of the machine's clock. */
export function historiesOf(
  stage: CrashStage,
  arrivals: readonly TokenArrivals[],
  startedAtMs: number,
): string[] {
  const files = [stage.traceFolder, join(stage.cluster.folder, 'log')].flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).map((name) => ({ name, path: join(folder, name) })) : [],
  );
  const lines = files.flatMap(({ name, path }) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => ({ name, line })),
  );
  return arrivals.map((arrival) => historyOf(arrival, lines, startedAtMs));
}

function historyOf(
  { token, queueIds, atMs = [] }: TokenArrivals,
  lines: readonly { name: string; line: string }[],
  startedAtMs: number,
): string {
  const ids = [...new Set(queueIds)].filter((id) => id !== '');
  const told = lines
    .filter(({ line }) => ids.some((id) => line.includes(id)))
    .map(({ name, line }) => ({ atMs: timeOf(line), text: `${name} ${line.replace(/^\d{13} /, '')}` }));
  const came = atMs.map((ms) => ({ atMs: ms, text: 'the sink has it, its final dot is not answered yet' }));
  const ordered = [...told, ...came].sort((a, b) => a.atMs - b.atMs);
  const shown = ordered.map(({ atMs, text }) => `    ${((atMs - startedAtMs) / 1000).toFixed(3)} ${text}`);
  return [`${token} (${ids.join(' ')})`, ...shown].join('\n');
}

/** Unix ms: the hook's lines begin with it, a log line has it (by the clock of its process). */
function timeOf(line: string): number {
  const own = /^(\d{13}) /.exec(line)?.[1];
  if (own !== undefined) return Number(own);
  return Date.parse(/"time":"([^"]+)"/.exec(line)?.[1] ?? '') || 0;
}
