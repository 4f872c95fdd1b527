// Build stage: what the services run on, into the folder that is the first argument.
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { copyNode, writeEtc } from './runtime-files.ts';

const root = process.argv[2]!;
copyNode(root);
writeEtc(root);
mkdirSync(join(root, 'etc/postrider'), { recursive: true });
const tmp = join(root, 'tmp');
mkdirSync(tmp, { recursive: true });
chmodSync(tmp, 0o1777);
