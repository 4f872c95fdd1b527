// First step of `npm start`, `npm test`, `npm run bench`, `npm run crash`, `npm run before` and `npm run image`: sets up
// whatever is missing, then runs the rest on Node 24. Plain JavaScript for Node >= 20 without dependencies: it runs before
// anything is installed.
//
// Fails: a set-up step that cannot be done -> says what was tried, exit 1; otherwise the exit code of what it ran.
import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { STEPS } from './check-steps.mjs';
import { findNatsServer } from './find-nats.mjs';
import { findNode, installPackages } from './find-node.mjs';
import { runChecks } from './run-checks.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const log = (line) => console.error(`postrider: ${line}`);

/** Program of each command; `test` has steps of its own. */
const PROGRAMS = {
  start: 'deploy/local/start.ts',
  bench: 'test/bench/bench.ts',
  crash: 'test/crash/crash.ts',
  before: 'test/before/before.ts',
  scale: 'test/scale/scale.ts',
  trouble: 'test/trouble/trouble.ts',
  image: 'deploy/image/build.ts',
};

/** Settles with the exit code of a program that has our terminal. Signals to us go on to it. */
function run(node, args, env) {
  return new Promise((resolve, reject) => {
    // The channel closes when we are killed: then the program stops too.
    const child = spawn(node, args, { cwd: ROOT, env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal === null ? code : 1));
  });
}

async function environment(node, needsNats) {
  const env = { ...process.env };
  env.PATH = [join(ROOT, 'node_modules/.bin'), env.PATH].join(delimiter);
  env.POSTRIDER_NODE = node;
  if (needsNats) env.NATS_SERVER = (await findNatsServer({ log })).path;
  return env;
}

async function main() {
  const [command = 'start', ...args] = process.argv.slice(2);
  if (command !== 'test' && !Object.hasOwn(PROGRAMS, command)) {
    throw new Error(`unknown command ${command}; expected ${['test', ...Object.keys(PROGRAMS)].join(', ')}`);
  }
  await installPackages({ root: ROOT, log });
  const node = findNode({ root: ROOT });
  const asksForHelp = command === 'start' && args.some((arg) => arg === '--help' || arg === '-h');
  const usesOtherServer = command === 'start' && Boolean(process.env.NATS_URL);
  const env = await environment(node, !asksForHelp && !usesOtherServer);
  const runNode = (nodeArgs) => run(node, nodeArgs, env);
  if (command === 'test') {
    const demandsAll = process.env.POSTRIDER_CHECKS === 'all';
    const options = { runNode, log, print: console.log, folder: 'var/test', demandsAll };
    return runChecks({ steps: STEPS, ...options });
  }
  return runNode([PROGRAMS[command], ...args]);
}

try {
  process.exitCode = await main();
} catch (error) {
  log(error.message);
  process.exitCode = 1;
}
