// Build stage: the packages that run, without what no program reads of them, into the folder that is the first argument.
// Fails: npm cannot install -> npm's own words and its exit code.
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeReadable } from './modes.ts';
import { isNeedless, packageFile } from './needless.ts';

/** Where Node's own distribution has it, beside the program. */
const NPM = join(dirname(process.execPath), '../lib/node_modules/npm/bin/npm-cli.js');
const ARGUMENTS = ['ci', '--omit=dev', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];

const { status } = spawnSync(process.execPath, [NPM, ...ARGUMENTS], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);

const root = process.argv[2]!;
cpSync('node_modules', join(root, 'app/node_modules'), {
  recursive: true,
  filter: (path) => {
    if (statSync(path).isDirectory()) return !path.endsWith('node_modules/.bin');
    const file = packageFile(path);
    return file !== undefined && !isNeedless(file);
  },
});
makeReadable(root);
rmSync('node_modules', { recursive: true });
