// Builds nats-server with the machine's Go toolchain.
//
// Fails: no go on PATH, no module proxy reachable, toolchain too old -> an error.
import { goInstall } from './go-install.mjs';
import { runTool } from './run-tool.mjs';

const MODULE = 'github.com/nats-io/nats-server/v2@v2.15.1';

/** Puts the program at `target`; takes a minute or two. */
export async function buildWithGo({ cacheDir, target, log }) {
  await runTool('go', ['version']);
  log(`nats-server: go install ${MODULE} (a minute or two)`);
  await goInstall({ module: MODULE, program: 'nats-server', cacheDir, target });
}
