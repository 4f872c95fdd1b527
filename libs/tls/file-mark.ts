// What tells that a file is not the one any more that was read.
import { realpathSync, statSync } from 'node:fs';

/** Changes whenever the file is written or replaced, or a link on the way to it; a file that is missing has a mark, too. */
export function fileMark(file: string): string {
  try {
    const path = realpathSync(file);
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${path}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch (error) {
    return `${file}: ${(error as NodeJS.ErrnoException).code}`;
  }
}
