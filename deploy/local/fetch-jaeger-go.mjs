// Builds Jaeger with the machine's Go toolchain. The module has no browser pages: what is built answers the query API, and
// shows a placeholder where the search page of a release would be.
//
// Fails: no go on PATH, no module proxy reachable, toolchain too old -> an error.
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './run-tool.mjs';

/** v1.76.0 of the module is Jaeger 2.13: the module kept its old numbers until then. */
const PROGRAM = 'github.com/jaegertracing/jaeger/cmd/jaeger';
const VERSION = 'v1.76.0';
/** What that version's own go.mod says, which holds only where it is the main module. */
const REPLACED = 'github.com/Shopify/sarama=github.com/Shopify/sarama@v1.33.0';
const BUILD_MS_MAX = 1_800_000;

/** Puts the program (120 MB) at `target`; takes about four minutes on two processors. */
export async function buildJaegerWithGo({ cacheDir, target, log }) {
  await runTool('go', ['version']);
  log(`jaeger: go build ${PROGRAM}@${VERSION} (some minutes)`);
  mkdirSync(cacheDir, { recursive: true });
  const dir = mkdtempSync(join(cacheDir, 'go-jaeger-'));
  const go = (...args) =>
    runTool('go', args, { cwd: dir, env: { ...process.env, CGO_ENABLED: '0' }, timeoutMs: BUILD_MS_MAX });
  try {
    await go('mod', 'init', 'build');
    await go('mod', 'edit', `-replace=${REPLACED}`);
    await go('get', '-tool', `${PROGRAM}@${VERSION}`);
    await go('build', '-trimpath', '-ldflags=-s -w', '-o', 'jaeger', PROGRAM);
    renameSync(join(dir, 'jaeger'), target);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
