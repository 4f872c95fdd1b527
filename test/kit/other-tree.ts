// The code of another commit of this repository, in a work tree of its own that shares this one's packages.
// Fails: git's own words when there is no such commit.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface OtherTree {
  folder: string;
  remove(): void;
}

/** Of a commit, or of a folder where it is checked out already. */
export function codeOf(ref: string): OtherTree {
  if (existsSync(join(ref, 'package.json'))) return { folder: ref, remove: () => undefined };
  const parent = mkdtempSync(join(tmpdir(), 'postrider-tree-'));
  const folder = join(parent, 'tree');
  execFileSync('git', ['worktree', 'add', '--detach', folder, ref], { cwd: ROOT, stdio: 'pipe' });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return {
    folder,
    remove: () => {
      execFileSync('git', ['worktree', 'remove', '--force', folder], { cwd: ROOT, stdio: 'pipe' });
      rmSync(parent, { recursive: true, force: true });
    },
  };
}
