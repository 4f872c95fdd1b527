// The base for deploy/Dockerfile where no image can be pulled: the Node that runs this, its shared libraries, npm, and npm's
// cache with the packages of the lock file, so that the build needs no network. It has no shell and no other program.
// Whom npm asks, and how, is the configuration of the user who runs this; nothing of it but the name of the registry, by
// which npm finds things in its cache, gets into the image.
//
// Fails: npm or docker cannot do their part -> an error with their last words.
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runTool } from '../local/run-tool.mjs';
import { hasImage, importImage } from './docker.ts';
import { copyNode, writeEtc } from './stage/runtime-files.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NPM_VERSION = '11.19.1';
const CACHE = 'var/cache/npm';
const NPM_FOLDER = 'usr/local/lib/node_modules/npm';
const PACKAGE_FILES = ['package.json', 'package-lock.json'];
/** What makes one base another one. */
const INGREDIENTS = [...PACKAGE_FILES, 'deploy/image/build-base.ts', 'deploy/image/stage/runtime-files.ts'];

export function baseName(): string {
  const hash = createHash('sha256').update(`${process.version} ${process.arch}`);
  for (const file of INGREDIENTS) hash.update(readFileSync(join(ROOT, file)));
  return `postrider-build-base:${hash.digest('hex').slice(0, 12)}`;
}

/** npm as its registry has it, with all that it needs; `scratch` is for the archive. */
async function putNpm(root: string, scratch: string): Promise<string> {
  await runTool('npm', ['pack', `npm@${NPM_VERSION}`, `--pack-destination=${scratch}`], { cwd: scratch });
  const folder = join(root, NPM_FOLDER);
  mkdirSync(folder, { recursive: true });
  const archive = join(scratch, `npm-${NPM_VERSION}.tgz`);
  await runTool('tar', ['--extract', `--file=${archive}`, `--directory=${folder}`, '--strip-components=1']);
  return join(folder, 'bin/npm-cli.js');
}

/** Lets the npm of the image fetch what the build will ask for, configured as the user's own. */
async function fillCache(root: string, scratch: string, npm: string): Promise<void> {
  const ask = async (key: string) => (await runTool('npm', ['config', 'get', key], { cwd: ROOT })).trim();
  const globalConfig = await ask('globalconfig');
  for (const file of PACKAGE_FILES) copyFileSync(join(ROOT, file), join(scratch, file));
  const args = ['ci', '--omit=dev', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  await runTool(process.execPath, [npm, ...args, `--cache=${join(root, CACHE)}`], {
    cwd: scratch,
    env: { ...process.env, npm_config_globalconfig: globalConfig },
  });
  const settings = [
    'offline=true',
    `cache=/${CACHE}`,
    `registry=${await ask('registry')}`,
    'update-notifier=false',
  ];
  mkdirSync(join(root, 'usr/local/etc'), { recursive: true });
  writeFileSync(join(root, 'usr/local/etc/npmrc'), `${settings.join('\n')}\n`);
}

/** The name of the base; makes it when it is not there. */
export async function homeMadeBase(say: (line: string) => void): Promise<string> {
  const name = baseName();
  if (await hasImage(name)) return name;
  say(`making the base ${name}: Node ${process.version}, npm ${NPM_VERSION} ...`);
  const folder = mkdtempSync(join(tmpdir(), 'postrider-base-'));
  const [root, scratch] = [join(folder, 'root'), join(folder, 'scratch')];
  try {
    for (const made of [root, scratch]) mkdirSync(made);
    copyNode(root);
    writeEtc(root);
    mkdirSync(join(root, 'tmp'));
    await fillCache(root, scratch, await putNpm(root, scratch));
    await importImage(name, root, ['ENV PATH=/usr/local/bin', 'LABEL postrider.image=base', 'CMD ["node"]']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return name;
}
