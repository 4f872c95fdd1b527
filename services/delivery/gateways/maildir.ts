// Puts one mail into one Maildir so that it is there exactly once and for ever: tmp/ written and synced, linked into
// new/, the directory synced. It never changes an octet of the mail (lines keep their CR LF) and never deletes one that
// is in new/ or cur/.
//
// The file in tmp/ stays for a while after it was linked: a second link to the same file, and so the proof for a
// repeated attempt that the mail had arrived, even when a reader has moved it to cur/ meanwhile.
//
// Fails: `refused` with the system's error code; the attempt is deferred.
import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export type MaildirResult =
  | { kind: 'delivered' }
  | { kind: 'refused'; code: string }
  /** The attempt may not put it there. */
  | { kind: 'not passed' };

export interface MaildirMail {
  /** Directory that holds tmp, new and cur; made when it is missing. */
  readonly directory: string;
  readonly fileName: string;
  /** Octets of the mail, piece by piece; undefined at its end. Throws when they cannot be had. */
  readonly pieces: AsyncIterable<readonly Uint8Array[]>;
  /** Whether the attempt may pass the point after which the mail is there. */
  readonly pass: () => Promise<'passed' | 'refused'>;
}

const STAY_MS = 60_000;
const CLOSE_WITHIN_MS = 2000;
const OVERWRITE = constants.O_WRONLY | constants.O_CREAT;

export class MaildirGateway {
  readonly #syncs = new Map<string, DirectorySync>();
  /** Files in tmp/ that may go, oldest first. */
  #leftovers: { path: string; sinceMs: number }[] = [];

  /** Stores the mail; when an earlier attempt did already, nothing is written and it counts as delivered. */
  async store(mail: MaildirMail, nowMs: number): Promise<MaildirResult> {
    try {
      const temporary = join(mail.directory, 'tmp', mail.fileName);
      const target = join(mail.directory, 'new', mail.fileName);
      if (await wasLinked(temporary, target)) return { kind: 'delivered' };
      await writeTemporary(mail, temporary);
      if ((await mail.pass()) === 'refused') {
        this.#leftovers.push({ path: temporary, sinceMs: nowMs });
        return { kind: 'not passed' };
      }
      await linkOnce(temporary, target);
      await this.#sync(join(mail.directory, 'new'));
      this.#leftovers.push({ path: temporary, sinceMs: nowMs });
      return { kind: 'delivered' };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      return { kind: 'refused', code };
    }
  }

  /** Removes files from tmp/ that nobody needs any more. Called about once a second. */
  sweep(nowMs: number): void {
    const staying = this.#leftovers.findIndex((leftover) => leftover.sinceMs + STAY_MS > nowMs);
    const going = this.#leftovers.splice(0, staying < 0 ? this.#leftovers.length : staying);
    for (const { path } of going) unlink(path).catch(() => {});
  }

  /** The outcomes of all mails are known to their owners: nothing stays in tmp/, unless the file system gives no answer. */
  async close(): Promise<void> {
    const going = this.#leftovers.splice(0);
    const patience = new Promise<void>((done) => setTimeout(done, CLOSE_WITHIN_MS).unref());
    await Promise.race([patience, Promise.allSettled(going.map(({ path }) => unlink(path)))]);
  }

  async #sync(directory: string): Promise<void> {
    let sync = this.#syncs.get(directory);
    if (sync === undefined) {
      sync = new DirectorySync(directory);
      this.#syncs.set(directory, sync);
    }
    await sync.run();
    if (sync.idle) this.#syncs.delete(directory);
  }
}

/** Syncs one directory for all who changed it since the last sync began: one at a time, one more for all who wait. */
class DirectorySync {
  readonly #directory: string;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  get idle(): boolean {
    return this.#running === undefined;
  }

  run(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const sync = syncDirectory(this.#directory).finally(() => {
      if (this.#next === undefined) this.#running = undefined;
    });
    this.#running = sync;
    return sync;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function wasLinked(temporary: string, target: string): Promise<boolean> {
  const left = await statOf(temporary);
  if (left !== undefined && left.nlink > 1) return true;
  return (await statOf(target)) !== undefined;
}

async function statOf(path: string): Promise<{ nlink: number } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeTemporary(mail: MaildirMail, path: string): Promise<void> {
  const file = await openTemporary(mail.directory, path);
  try {
    let octets = 0;
    for await (const pieces of mail.pieces) octets += await writeAll(file, pieces);
    await file.truncate(octets);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * What an attempt left half written is overwritten, octet by octet and never emptied first: another attempt, which the owner made when
 * it gave this one up, may have put this very file into new/ a moment ago, and what it has there is the same.
 */
async function openTemporary(directory: string, path: string): Promise<FileHandle> {
  try {
    return await open(path, OVERWRITE, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await makeMaildir(directory);
    return open(path, OVERWRITE, 0o600);
  }
}

/** Every directory that is new becomes durable in the one above it, also when another attempt made it just now. */
async function makeMaildir(directory: string): Promise<void> {
  const made: string[] = [];
  for (const name of ['tmp', 'new', 'cur']) {
    const top = await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
    if (top !== undefined) made.push(top);
  }
  const end = dirname(made[0] ?? directory);
  for (let at = directory; at.length >= end.length; at = dirname(at)) {
    await syncDirectory(at);
    if (at === dirname(at)) return;
  }
}

/** Returns how many octets they are. */
async function writeAll(file: FileHandle, pieces: readonly Uint8Array[]): Promise<number> {
  const octets = pieces.reduce((sum, piece) => sum + piece.length, 0);
  let left = pieces.filter((piece) => piece.length > 0);
  while (left.length > 0) {
    let { bytesWritten } = await file.writev(left);
    const whole = left.findIndex((piece) => {
      if (bytesWritten < piece.length) return true;
      bytesWritten -= piece.length;
      return false;
    });
    if (whole < 0) break;
    left = [left[whole]!.subarray(bytesWritten), ...left.slice(whole + 1)];
  }
  return octets;
}

async function linkOnce(temporary: string, target: string): Promise<void> {
  try {
    await link(temporary, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
