// Build stage: our own program text and commands, into the folder that is the first argument.
import { chmodSync, cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeReadable } from './modes.ts';

const COMMANDS = 'usr/local/bin';

const root = process.argv[2]!;
for (const part of ['LICENSE', 'package.json', 'proto', 'libs', 'services']) {
  cpSync(part, join(root, 'app', part), { recursive: true });
}
cpSync('deploy/image/bin', join(root, COMMANDS), { recursive: true });
makeReadable(root);
// Whatever the checkout made of them.
for (const command of readdirSync(join(root, COMMANDS))) chmodSync(join(root, COMMANDS, command), 0o755);
