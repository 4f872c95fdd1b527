// A file system of a few megabytes (tmpfs), which is full when it is full. Only root can mount one.
// Fails: who is not root is refused with words; mount's own words otherwise.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class SmallDisk {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static mount(octets: number): SmallDisk {
    if (process.getuid?.() !== 0) throw new Error('a small disk is a tmpfs, and only root can mount one');
    const folder = mkdtempSync(join(tmpdir(), 'postrider-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${octets}`, 'tmpfs', folder]);
    return new SmallDisk(folder);
  }

  /** With all that is on it. */
  unmount(): void {
    execFileSync('umount', ['--lazy', this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
