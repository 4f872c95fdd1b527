// `npm run jaeger`: a Jaeger on this machine to look at traces with, until Ctrl-C. It remembers nothing after that. With
// --fetch it is only made sure that there is one. Plain JavaScript for Node >= 20 without dependencies.
//
// Fails: no Jaeger to be had, or it does not start -> says so, exit 1.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findJaeger } from './find-jaeger.mjs';
import { jaegerSettings } from './jaeger-settings.mjs';

const PORTS = { otlp: 4318, query: 16686, queryGrpc: 16685, health: 13133 };
const WELCOME = `postrider: Jaeger starts; traces are kept in memory
  telemetry.otlpEndpoint   http://127.0.0.1:${PORTS.otlp}
  search page and API      http://127.0.0.1:${PORTS.query}
  a mail's traces          npm run -s postrider -- trace show <queue id>`;

const log = (line) => console.error(line);

function run(path) {
  const directory = mkdtempSync(join(tmpdir(), 'postrider-jaeger-'));
  const file = join(directory, 'jaeger.yaml');
  writeFileSync(file, jaegerSettings(PORTS));
  log(WELCOME);
  return new Promise((resolve, reject) => {
    const child = spawn(path, ['--config', file], { stdio: 'inherit' });
    // Ctrl-C reaches it too; we only wait for its end.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 0));
  }).finally(() => rmSync(directory, { recursive: true, force: true }));
}

try {
  const { path } = await findJaeger({ log });
  if (process.argv.includes('--fetch')) console.log(path);
  else process.exitCode = await run(path);
} catch (error) {
  log(`postrider: ${error.message}`);
  process.exitCode = 1;
}
