// Builds a program with the machine's Go toolchain.
//
// Fails: no go on PATH, no module proxy reachable, toolchain too old -> an error.
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './run-tool.mjs';

const BUILD_MS_MAX = 900_000;

/** Puts the program of that name of the module, "path@version", at `target`; a folder in `cacheDir` is used meanwhile. */
export async function goInstall({ module, program, cacheDir, target }) {
  mkdirSync(cacheDir, { recursive: true });
  const dir = mkdtempSync(join(cacheDir, 'go-'));
  try {
    await runTool('go', ['install', module], {
      env: { ...process.env, GOBIN: dir, CGO_ENABLED: '0' },
      timeoutMs: BUILD_MS_MAX,
    });
    renameSync(join(dir, program), target);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
