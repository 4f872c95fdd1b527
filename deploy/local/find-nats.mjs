// Finds a nats-server that is new enough, fetching one into var/cache when the machine has none. Plain JavaScript for
// Node >= 20 without dependencies: it runs before anything is installed.
//
// Fails: NATS_SERVER names something unusable -> error at once, since the user asked for exactly that one; every other
// way that fails is noted, and the error at the end says all that was tried.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchFromDistribution } from './fetch-nats-distribution.mjs';
import { buildWithGo } from './fetch-nats-go.mjs';
import { fetchOfficialRelease } from './fetch-nats-release.mjs';
import { lookLocally } from './look-locally.mjs';
import { onPath } from './on-path.mjs';

/** `sync_interval: always` has holes before this version (and fsyncs twice). */
export const NATS_VERSION_MIN = [2, 15];

const CACHE_DIR = fileURLToPath(new URL('../../var/cache', import.meta.url));
const CACHED = join(CACHE_DIR, 'nats-server');

/** [major, minor, patch] of the program at `path`; undefined when it does not run or says something else. */
export function natsVersionOf(path) {
  try {
    const said = execFileSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000, stdio: 'pipe' });
    const match = /v(\d+)\.(\d+)\.(\d+)/.exec(said);
    return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
  } catch {
    return undefined;
  }
}

function isNewEnough(version) {
  const [major, minor] = NATS_VERSION_MIN;
  return version !== undefined && (version[0] > major || (version[0] === major && version[1] >= minor));
}

/** '' when the program will do, otherwise what is wrong with it. */
function troubleWith(path) {
  const version = natsVersionOf(path);
  if (version === undefined) return `${path} does not run`;
  return isNewEnough(version)
    ? ''
    : `${path} is ${version.join('.')}, needed is ${NATS_VERSION_MIN.join('.')}`;
}

/** What is on the machine already; `tried` says why the others will not do. */
function nowHere() {
  return lookLocally({
    variable: 'NATS_SERVER',
    places: [
      { label: 'PATH: ', path: onPath('nats-server') },
      { label: 'cache: ', path: CACHED },
    ],
    absent: 'no nats-server',
    troubleWith,
  });
}

/** Path of a usable nats-server without fetching anything; undefined when there is none. */
export function cachedNatsServer() {
  return nowHere().path;
}

const WAYS_TO_FETCH = [
  { what: 'official release', fetch: fetchOfficialRelease },
  { what: 'newer suite of the distribution', fetch: fetchFromDistribution },
  { what: 'go install', fetch: buildWithGo },
];

/**
 * Path of a nats-server >= 2.15: NATS_SERVER, PATH, var/cache, else fetched into var/cache.
 * @param {{ log: (line: string) => void }} options
 * @returns {Promise<{ path: string }>}
 */
export async function findNatsServer({ log }) {
  const { path, tried } = nowHere();
  if (path !== undefined) return { path };
  for (const { what, fetch } of WAYS_TO_FETCH) {
    try {
      log(`nats-server: ${what} ...`);
      await fetch({ cacheDir: CACHE_DIR, target: CACHED, log });
      const trouble = troubleWith(CACHED);
      if (trouble === '') return { path: CACHED };
      tried.push(`${what}: ${trouble}`);
    } catch (error) {
      tried.push(`${what}: ${error.message}`);
    }
    log(`nats-server: ${tried.at(-1)}`);
  }
  throw new Error(
    [
      `No nats-server >= ${NATS_VERSION_MIN.join('.')} found and none could be fetched. Tried:`,
      ...tried.map((line) => `  - ${line}`),
      'Install one (https://docs.nats.io/running-a-nats-service/introduction/installation) and put it on PATH, or set',
      'NATS_SERVER to the program, or NATS_URL to a server that runs already.',
    ].join('\n'),
  );
}
