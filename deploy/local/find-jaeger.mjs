// Finds a Jaeger 2, building one into var/cache when the machine has none and Go is there. Plain JavaScript for Node >= 20
// without dependencies.
//
// Fails: JAEGER names something unusable -> error at once, since the user asked for exactly that one; the error when none
// is found and none can be built says all that was tried.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildJaegerWithGo } from './fetch-jaeger-go.mjs';
import { lookLocally } from './look-locally.mjs';
import { onPath } from './on-path.mjs';

const CACHE_DIR = fileURLToPath(new URL('../../var/cache', import.meta.url));
const CACHED = join(CACHE_DIR, 'jaeger');
/** Where a machine may keep what its Go toolchain built. */
const BUILT_BEFORE = '/opt/gobin/jaeger';
const ASK_MS_MAX = 20_000;

/** '' when the program will do, otherwise what is wrong with it. Version 1 was one program per role, none called jaeger. */
function troubleWith(path) {
  const { stdout, stderr, status } = spawnSync(path, ['--help'], { encoding: 'utf8', timeout: ASK_MS_MAX });
  if (status !== 0) return `${path} does not run`;
  return `${stdout}${stderr}`.includes('Jaeger backend v2') ? '' : `${path} is not Jaeger 2`;
}

/**
 * Path of a Jaeger 2: JAEGER, PATH, /opt/gobin, var/cache, else built into var/cache.
 * @param {{ log: (line: string) => void }} options
 * @returns {Promise<{ path: string }>}
 */
export async function findJaeger({ log }) {
  const { path, tried } = lookLocally({
    variable: 'JAEGER',
    places: [{ path: onPath('jaeger') }, { path: BUILT_BEFORE }, { path: CACHED }],
    absent: 'no jaeger on PATH',
    troubleWith,
  });
  if (path !== undefined) return { path };
  try {
    await buildJaegerWithGo({ cacheDir: CACHE_DIR, target: CACHED, log });
    const trouble = troubleWith(CACHED);
    if (trouble === '') return { path: CACHED };
    tried.push(trouble);
  } catch (error) {
    tried.push(`go build: ${error.message}`);
  }
  throw new Error(
    [
      'No Jaeger 2 found and none could be built. Tried:',
      ...tried.map((line) => `  - ${line}`),
      'Install Go, or set JAEGER to the program of a release (https://www.jaegertracing.io/download).',
    ].join('\n'),
  );
}
