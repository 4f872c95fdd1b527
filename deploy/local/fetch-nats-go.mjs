// Builds nats-server with the machine's Go toolchain.
//
// Fails: no go on PATH, no module proxy reachable, toolchain too old -> an error.
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './run-tool.mjs';

const MODULE = 'github.com/nats-io/nats-server/v2@v2.15.1';
const BUILD_MS_MAX = 900_000;

/** Puts the program at `target`; takes a minute or two. */
export async function buildWithGo({ cacheDir, target, log }) {
  await runTool('go', ['version']);
  log(`nats-server: go install ${MODULE} (a minute or two)`);
  mkdirSync(cacheDir, { recursive: true });
  const dir = mkdtempSync(join(cacheDir, 'go-'));
  try {
    await runTool('go', ['install', MODULE], {
      env: { ...process.env, GOBIN: dir, CGO_ENABLED: '0' },
      timeoutMs: BUILD_MS_MAX,
    });
    renameSync(join(dir, 'nats-server'), target);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
