// One starter per data directory: nats-server does not lock its store, and two on one store destroy it.
//
// Fails: the directory is in use -> StartTrouble that names the process. A lock whose owner is gone is taken over.
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandLineOf, isAlive } from './processes.ts';
import { StartTrouble } from './trouble.ts';

const TRIES = 5;

interface Owner {
  pid: number;
  commandLine: string;
}

export interface DataLock {
  release(): void;
}

/** Undefined when the text is no owner: its starter was killed while it wrote. */
function parseOwner(text: string): Owner | undefined {
  try {
    const { pid, commandLine } = JSON.parse(text) as Partial<Owner>;
    return typeof pid === 'number' && typeof commandLine === 'string' ? { pid, commandLine } : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined when there is no such file. */
function readLock(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A process id that is used again has another command line. */
function isStillThere(owner: Owner | undefined): owner is Owner {
  return owner !== undefined && isAlive(owner.pid) && commandLineOf(owner.pid) === owner.commandLine;
}

/** True when `file` was not there and now is, with all of its content (unlike a plain exclusive open). */
function createWhole(file: string, text: string): boolean {
  const beside = `${file}.${process.pid}`;
  writeFileSync(beside, text);
  try {
    linkSync(beside, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(beside);
  }
}

/** Removes the lock if it still is the stale one; another starter may have been quicker. */
function removeStale(file: string, staleText: string): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const text = readFileSync(aside, 'utf8');
  if (text !== staleText) createWhole(file, text);
  rmSync(aside);
}

/** Takes the lock of `dataDir`, which must exist. */
export function lockData(dataDir: string): DataLock {
  const file = join(dataDir, 'lock');
  const mine = JSON.stringify({ pid: process.pid, commandLine: commandLineOf(process.pid) });
  for (let i = 0; i < TRIES; i += 1) {
    if (createWhole(file, mine)) return { release: () => rmSync(file, { force: true }) };
    const found = readLock(file);
    if (found === undefined) continue;
    const owner = parseOwner(found);
    if (isStillThere(owner)) {
      throw new StartTrouble(
        `${dataDir} is in use by process ${owner.pid}: stop that one or give another --data`,
      );
    }
    removeStale(file, found);
  }
  throw new StartTrouble(`${file} cannot be taken: other starters are at it`);
}
