// One service as a process of its own, `node services/<name>/main.ts`, without a cluster around it: what it prints and how
// it ends can be read. It dies with the test: its channel closes.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { ServiceName } from './cluster-process.ts';

export interface LoneService {
  readonly child: ChildProcess;
  /** All that it printed. */
  output(): string;
  /** Its log lines so far, parsed. */
  lines(): Record<string, unknown>[];
  /** What it says when it is ready; rejects with what it printed when it ends before. */
  readonly ready: Promise<Record<string, unknown>>;
  /** "code 0", or the signal that ended it. */
  readonly ended: Promise<string>;
}

export interface LoneOptions {
  service: ServiceName;
  /** Where its configuration is written, as postrider.yaml. */
  folder: string;
  configText: string;
  env: Record<string, string>;
}

export function startLone({ service, folder, configText, env }: LoneOptions): LoneService {
  const config = join(folder, 'postrider.yaml');
  writeFileSync(config, configText);
  const child = fork(`services/${service}/main.ts`, ['--config', config], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...env },
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  const ready = new Promise<Record<string, unknown>>((resolve, reject) => {
    child.on('message', (message) => resolve((message as { ready: Record<string, unknown> }).ready));
    child.on('exit', () => reject(new Error(`${service} ended before it was ready:\n${output}`)));
  });
  // Not every test waits for it.
  ready.catch(() => {});
  return {
    child,
    output: () => output,
    lines: () => linesOf(output),
    ready,
    // Not 'close', which does not come after a disconnect.
    ended: Promise.all([once(child, 'exit'), finished(child.stdout!), finished(child.stderr!)]).then(
      ([[code, signal]]) => signal ?? `code ${code}`,
    ),
  };
}

/** The last line may not have come whole. */
function linesOf(output: string): Record<string, unknown>[] {
  const whole = output.slice(0, output.lastIndexOf('\n') + 1).trim();
  return whole === '' ? [] : whole.split('\n').map((line) => JSON.parse(line));
}
