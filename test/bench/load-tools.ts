// Postfix's own load tools: smtp-source drives, smtp-sink receives and counts. Both sides of the comparison use the same.
// The sink counts into a file in memory (its -c option), so that counting costs this process nothing while it measures.
// Fails: a tool that is missing or that ends with an error fails the bench; nothing is retried.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '#kit/cluster-ports.ts';

const TAIL_OCTETS = 128;
const POLL_MS = 10;

/** Directories that hold Postfix's commands but are not on everybody's PATH. */
const PATH_OF_TOOLS = `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin`;

/** Where an installed command is; undefined when it is not installed. */
export function findTool(name: string): string | undefined {
  return PATH_OF_TOOLS.split(':')
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

function tool(name: string): string {
  const path = findTool(name);
  if (path === undefined) throw new Error(`${name} is missing: apt-get install postfix`);
  return path;
}

export interface Source {
  port: number;
  mails: number;
  octets: number;
  sessions: number;
  /** persistent keeps each session for many mails; single opens a connection per mail. */
  mode: 'persistent' | 'single';
}

/** Sends the mails; resolves when smtp-source has read the last reply. */
export function runSource(source: Source): Promise<void> {
  const { port, mails, octets, sessions, mode } = source;
  const counts = ['-s', String(sessions), '-m', String(mails), '-l', String(octets)];
  const paths = [
    '-M',
    'client.bench.test',
    '-f',
    'sender@client.bench.test',
    '-t',
    'recipient@sink.bench.test',
  ];
  const keep = mode === 'persistent' ? ['-d'] : [];
  const child = spawn(tool('smtp-source'), [...counts, ...paths, ...keep, `127.0.0.1:${port}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`smtp-source ended with ${code}: ${said.trim()}`));
    });
  });
}

/** smtp-sink, listening on loopback. */
export class BenchSink {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #countFile: string;
  readonly #read: number;

  private constructor(port: number, child: ChildProcess, countFile: string) {
    this.port = port;
    this.#child = child;
    this.#countFile = countFile;
    this.#read = openSync(countFile, 'r');
  }

  static async start(): Promise<BenchSink> {
    const port = await freePort();
    const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
    const countFile = join(memory, `postrider-bench-${process.pid}-${port}`);
    const write = openSync(countFile, 'a');
    const asRoot = process.getuid?.() === 0 ? ['-u', 'postfix'] : [];
    const options = [...asRoot, '-c', '-m', '1000', `127.0.0.1:${port}`, '1000'];
    const child = spawn(tool('smtp-sink'), options, { stdio: ['ignore', write, 'inherit'] });
    closeSync(write);
    await pause(200);
    if (child.exitCode !== null) throw new Error(`smtp-sink ended with ${child.exitCode}`);
    return new BenchSink(port, child, countFile);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Mails received since it started. */
  count(): number {
    const { size } = statSync(this.#countFile);
    if (size === 0) return 0;
    const tail = Buffer.alloc(TAIL_OCTETS);
    const length = readSync(this.#read, tail, 0, TAIL_OCTETS, Math.max(0, size - TAIL_OCTETS));
    const counts = [...tail.toString('latin1', 0, length).matchAll(/mesg=(\d+)\s*\r/g)];
    return Number(counts.at(-1)?.[1] ?? 0);
  }

  /** Resolves with the time (performance.now) when the sink had that many, to 10 ms; gives up when none come. */
  async reached(count: number, stuckAfterMs = 60_000): Promise<number> {
    let before = this.count();
    let movedAt = performance.now();
    for (;;) {
      const nowAt = performance.now();
      const received = this.count();
      if (received >= count) return nowAt;
      if (received > before) {
        before = received;
        movedAt = nowAt;
      } else if (nowAt - movedAt > stuckAfterMs) {
        throw new Error(`the sink has ${received} of ${count} mails, and none came for ${stuckAfterMs} ms`);
      }
      await pause(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#child.once('exit', done));
    this.#child.kill('SIGTERM');
    await ended;
    closeSync(this.#read);
    rmSync(this.#countFile, { force: true });
  }
}
