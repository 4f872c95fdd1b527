// Modes of files in the image do not depend on how strict the builder's umask was.
import { chmodSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Lets everybody read what is in `folder`, and nobody but root change it. */
export function makeReadable(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) makeReadable(path);
    else if (entry.isFile()) chmodSync(path, (statSync(path).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}
