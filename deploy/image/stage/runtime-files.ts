// A Node that runs alone: its program, the shared libraries that it has loaded, and the few files of /etc that names of
// users and hosts are looked up in. Whatever root they are copied to needs nothing else.
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

export const USER_ID = 10_001;
const NODE_PATH = 'usr/local/bin/node';

interface Report {
  /** Paths; on Linux also "linux-vdso.so.1", which is no file. */
  sharedObjects: string[];
}

/** Copies what a link leads to, readable by everybody. */
function put(from: string, to: string, mode = 0o644): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, mode);
}

/** Shared libraries of the Node that runs this, the dynamic linker among them. */
export function sharedLibraries(): string[] {
  const { sharedObjects } = process.report.getReport() as unknown as Report;
  return sharedObjects.filter((path) => isAbsolute(path) && existsSync(path));
}

/** Puts the Node that runs this under `root`, as /usr/local/bin/node. */
export function copyNode(root: string): void {
  put(process.execPath, join(root, NODE_PATH), 0o755);
  for (const library of sharedLibraries()) put(library, join(root, library), 0o755);
}

/** Users, groups and the order of lookups; the container's own /etc/hosts and /etc/resolv.conf come from outside. */
export function writeEtc(root: string): void {
  const etc = join(root, 'etc');
  mkdirSync(etc, { recursive: true });
  const files = {
    passwd: `root:x:0:0:root:/:/nonexistent\npostrider:x:${USER_ID}:${USER_ID}:postrider:/app:/nonexistent\n`,
    group: `root:x:0:\npostrider:x:${USER_ID}:\n`,
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(etc, name), text, { mode: 0o644 });
}
