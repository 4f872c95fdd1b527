// The code of another commit of this repository, in a work tree of its own that shares this one's packages, for as long as somebody
// uses it.
// Fails: git's own words when there is no such commit. A signal that ends this process removes the tree, SIGKILL does not
// (`git worktree prune` does, once its folder is gone).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Not SIGHUP, which may be ignored on purpose (nohup). */
const ENDING = ['SIGINT', 'SIGTERM'] as const;

interface OtherTree {
  folder: string;
  remove(): void;
}

/**
 * Calls `use` with the folder that the code of a commit is in, and removes what it made, whatever becomes of that. Nothing is made
 * without a `ref`.
 */
export async function withCodeOf<T>(
  ref: string | undefined,
  use: (folder: string | undefined) => Promise<T>,
): Promise<T> {
  if (ref === undefined) return use(ref);
  const tree = codeOf(ref);
  // Who waits in `use` is not told of a signal: then nothing of it is run any more.
  const end = () => {
    tree.remove();
    process.exit(1);
  };
  for (const signal of ENDING) process.once(signal, end);
  try {
    return await use(tree.folder);
  } finally {
    for (const signal of ENDING) process.removeListener(signal, end);
    tree.remove();
  }
}

/** Of a commit, or of a folder where it is checked out already. */
function codeOf(ref: string): OtherTree {
  if (existsSync(join(ref, 'package.json'))) return { folder: ref, remove: () => undefined };
  const parent = mkdtempSync(join(tmpdir(), 'postrider-tree-'));
  const folder = join(parent, 'tree');
  const tree = {
    folder,
    remove: () => {
      rmSync(parent, { recursive: true, force: true });
      execFileSync('git', ['worktree', 'prune'], { cwd: ROOT, stdio: 'pipe' });
    },
  };
  try {
    execFileSync('git', ['worktree', 'add', '--detach', folder, ref], { cwd: ROOT, stdio: 'pipe' });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  } catch (error) {
    tree.remove();
    throw error;
  }
  return tree;
}
