// Fetches the nats-server package of a newer Debian suite and takes the program out of it, without installing anything:
// apt works with lists and sources of its own under var/cache. Packages are verified by Debian's archive keyring.
//
// Fails: not a Debian, no mirror reachable, no suite has a version that is new enough -> an error.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { runTool } from './run-tool.mjs';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const SUITES = ['trixie-backports', 'forky', 'sid'];
const DEFAULT_MIRROR = 'http://deb.debian.org/debian';

/** The machine's own Debian mirror, then Debian's. */
export function debianMirrors(aptDir = '/etc/apt') {
  const sources = join(aptDir, 'sources.list.d');
  const names = existsSync(sources)
    ? readdirSync(sources).filter((name) => /\.(list|sources)$/.test(name))
    : [];
  const files = [join(aptDir, 'sources.list'), ...names.map((name) => join(sources, name))];
  const found = files
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter((line) => !line.trimStart().startsWith('#'))
    .flatMap((line) => line.match(/https?:\/\/\S+\/debian\/?(?=\s|$)/g) ?? [])
    .map((url) => url.replace(/\/$/, ''));
  return [...new Set([...found, DEFAULT_MIRROR])];
}

/** Options that keep apt inside `dir`. */
function aptOptions(dir) {
  const settings = {
    'Dir::Etc::sourcelist': join(dir, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State::lists': join(dir, 'lists'),
    'Dir::State::status': join(dir, 'status'),
    'Dir::Cache': join(dir, 'cache'),
    'APT::Sandbox::User': '',
    'Acquire::Languages': 'none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    'Acquire::Retries': '1',
  };
  return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
}

/** Version that the suite offers, such as "2.15.1-1"; undefined when it has none. */
async function offeredVersion(options) {
  const policy = await runTool('apt-cache', [...options, 'policy', 'nats-server']);
  return /Candidate: (\d\S*)/.exec(policy)?.[1];
}

function isNewEnough(version) {
  const match = /^(?:\d+:)?(\d+)\.(\d+)/.exec(version ?? '');
  return match !== null && (Number(match[1]) > 2 || (Number(match[1]) === 2 && Number(match[2]) >= 15));
}

/** Unpacks the downloaded package in `dir` and puts its program at `target`. */
async function takeProgram(dir, target) {
  const unpacked = join(dir, 'unpacked');
  const file = readdirSync(dir).find((name) => name.endsWith('.deb'));
  if (file === undefined) throw new Error('apt-get download left no package');
  await runTool('dpkg', ['-x', join(dir, file), unpacked]);
  const found = ['usr/bin', 'usr/sbin'].map((place) => join(unpacked, place, 'nats-server')).find(existsSync);
  if (found === undefined) throw new Error(`${file} has no nats-server`);
  const beside = `${target}.${process.pid}`;
  copyFileSync(found, beside);
  chmodSync(beside, 0o755);
  renameSync(beside, target);
}

async function trySuite({ mirror, suite, dir, target, log }) {
  for (const part of ['lists/partial', 'cache/archives/partial'])
    mkdirSync(join(dir, part), { recursive: true });
  writeFileSync(join(dir, 'sources.list'), `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`);
  writeFileSync(join(dir, 'status'), '');
  const options = aptOptions(dir);
  await runTool('apt-get', [...options, 'update', '--error-on=any']);
  const version = await offeredVersion(options);
  if (!isNewEnough(version)) throw new Error(`${suite} has ${version ?? 'no nats-server'}`);
  log(`nats-server: ${version} from Debian ${suite}`);
  await runTool('apt-get', [...options, 'download', 'nats-server'], { cwd: dir });
  await takeProgram(dir, target);
}

/** Puts the program at `target`. */
export async function fetchFromDistribution({ cacheDir, target, log }) {
  if (!existsSync(KEYRING) || !existsSync('/usr/bin/apt-get')) throw new Error('this is not a Debian');
  const tried = [];
  mkdirSync(cacheDir, { recursive: true });
  for (const mirror of debianMirrors()) {
    for (const suite of SUITES) {
      const dir = mkdtempSync(join(cacheDir, 'apt-'));
      try {
        await trySuite({ mirror, suite, dir, target, log });
        return;
      } catch (error) {
        tried.push(error.message.split('\n').at(-1));
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    }
  }
  throw new Error(tried.join('; '));
}
