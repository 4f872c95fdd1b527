// Installs the packages of the lock file when they are missing or older than it, and finds Node 24. Plain JavaScript for
// Node >= 20 without dependencies.
//
// Fails: npm cannot install, or there is no Node that is new enough -> an error that says what was tried.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** TypeScript runs natively, without a build step, from here on. */
const NODE_MAJOR_MIN = 24;

function modifiedAt(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

/** npm writes its own list last: when it is missing, an installation was cut short. */
function needsInstall(root) {
  const installed = modifiedAt(join(root, 'node_modules/.package-lock.json'));
  return installed === 0 || installed < modifiedAt(join(root, 'package-lock.json'));
}

/** PATH without the packages' own programs: npm must not run on a Node that it is about to replace. */
function pathOutside(root) {
  const inside = join(root, 'node_modules');
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((dir) => !dir.startsWith(inside))
    .join(delimiter);
}

/** Runs `npm ci` when something is missing. */
export async function installPackages({ root, log }) {
  if (!needsInstall(root)) return;
  log('packages are missing or older than package-lock.json: npm ci ...');
  const code = await new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: pathOutside(root) };
    // Its warnings are about the Node that runs npm; the packages run on Node 24.
    const child = spawn('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: root,
      env,
      stdio: 'inherit',
    });
    child.once('error', (error) => reject(new Error(`npm cannot be run: ${error.message}`)));
    child.once('exit', resolve);
  });
  if (code !== 0) throw new Error(`npm ci ended with code ${code}`);
}

/** "v24.1.0" of the program; undefined when it does not run. */
function versionOf(node) {
  try {
    return execFileSync(node, ['--version'], { encoding: 'utf8', timeout: 20_000, stdio: 'pipe' }).trim();
  } catch {
    return undefined;
  }
}

function isNewEnough(version) {
  return Number(/^v(\d+)\./.exec(version ?? '')?.[1] ?? 0) >= NODE_MAJOR_MIN;
}

/** Path of a Node >= 24: the pinned package's, else the one that runs now. */
export function findNode({ root }) {
  const pinned = join(root, 'node_modules/.bin/node');
  const pinnedVersion = existsSync(pinned) ? versionOf(pinned) : undefined;
  if (isNewEnough(pinnedVersion)) return pinned;
  if (isNewEnough(process.version)) return process.execPath;
  const pinnedTrouble = existsSync(pinned)
    ? `does not run here (${pinnedVersion ?? 'no version'})`
    : `is not there (the package exists for Linux on x64 and arm64; this is ${process.platform} on ${process.arch})`;
  throw new Error(
    [
      `Postrider runs on Node >= ${NODE_MAJOR_MIN}. Tried:`,
      `  - ${pinned}: ${pinnedTrouble}`,
      `  - ${process.execPath}: ${process.version}`,
      `Install Node ${NODE_MAJOR_MIN} (https://nodejs.org) and run the same command with it.`,
    ].join('\n'),
  );
}
