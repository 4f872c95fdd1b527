// Finds a program on PATH. Plain JavaScript for Node >= 20.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Path of the program; undefined when PATH has none that may be run. */
export function onPath(name) {
  for (const dir of (process.env.PATH ?? '').split(delimiter)) {
    if (dir === '') continue;
    try {
      accessSync(join(dir, name), constants.X_OK);
      return join(dir, name);
    } catch {}
  }
  return undefined;
}
