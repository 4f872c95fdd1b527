// Finds Helm (3.18 or later, or 4), building one into var/cache when the machine has none and Go is there. Plain JavaScript for
// Node >= 20 without dependencies.
//
// Fails: HELM names something unusable -> error at once, since the user asked for exactly that one; the error when none is
// found and none can be built says all that was tried.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { goInstall } from './go-install.mjs';
import { lookLocally } from './look-locally.mjs';
import { onPath } from './on-path.mjs';

const CACHE_DIR = fileURLToPath(new URL('../../var/cache', import.meta.url));
const CACHED = join(CACHE_DIR, 'helm');
/** Where a machine may keep what its Go toolchain built. */
const BUILT_BEFORE = '/opt/gobin/helm';
const MODULE = 'helm.sh/helm/v4/cmd/helm@v4.2.4';

/** '' when the program will do, otherwise what is wrong with it. A build from source says v4.2 without more. */
function troubleWith(path) {
  const options = { encoding: 'utf8', timeout: 20_000 };
  const { stdout, status } = spawnSync(path, ['version', '--template', '{{.Version}}'], options);
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(stdout ?? '') ?? [];
  if (status !== 0 || major === undefined) return `${path} does not run`;
  const isNewEnough = Number(major) > 3 || (Number(major) === 3 && Number(minor) >= 18);
  return isNewEnough ? '' : `${path} is ${stdout.trim()}, needed is 3.18`;
}

/**
 * Path of a Helm: HELM, PATH, /opt/gobin, var/cache, else built into var/cache.
 * @param {{ log: (line: string) => void }} options
 * @returns {Promise<string>}
 */
export async function findHelm({ log }) {
  const { path, tried } = lookLocally({
    variable: 'HELM',
    places: [{ path: onPath('helm') }, { path: BUILT_BEFORE }, { path: CACHED }],
    absent: 'no helm on PATH',
    troubleWith,
  });
  if (path !== undefined) return path;
  try {
    log(`helm: go install ${MODULE} (two minutes or three)`);
    await goInstall({ module: MODULE, program: 'helm', cacheDir: CACHE_DIR, target: CACHED });
    const trouble = troubleWith(CACHED);
    if (trouble === '') return CACHED;
    tried.push(trouble);
  } catch (error) {
    tried.push(`go install: ${error.message}`);
  }
  throw new Error(
    [
      'No Helm found and none could be built. Tried:',
      ...tried.map((line) => `  - ${line}`),
      'Install Go, or Helm (https://helm.sh/docs/intro/install), or set HELM to the program.',
    ].join('\n'),
  );
}

// As a program it only makes sure that there is one, and says where.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(await findHelm({ log: (line) => console.error(line) }));
  } catch (error) {
    console.error(`postrider: ${error.message}`);
    process.exitCode = 1;
  }
}
