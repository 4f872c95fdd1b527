// Finds prometheus and promtool: on PATH, or out of the Debian package, which is downloaded and unpacked into var/cache and
// not installed, so that no service of it starts.
//
// Fails: neither there nor to be had -> an error that says what to install.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { onPath } from '../../deploy/local/on-path.mjs';

const run = promisify(execFile);
const CACHE = fileURLToPath(new URL('../../var/cache', import.meta.url));
const UNPACKED = join(CACHE, 'prometheus');
const OUTPUT_OCTETS_MAX = 16 * 1024 * 1024;

export interface Programs {
  prometheus: string;
  promtool: string;
}

let found: Promise<Programs> | undefined;

/** Paths of both programs; looked for once in a process. */
export function findPrograms(): Promise<Programs> {
  found ??= find();
  return found;
}

async function find(): Promise<Programs> {
  const [prometheus, promtool] = [onPath('prometheus'), onPath('promtool')];
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool };
  if (!existsSync(UNPACKED)) await unpackPackage();
  return {
    prometheus: join(UNPACKED, 'usr/bin/prometheus'),
    promtool: join(UNPACKED, 'usr/bin/promtool'),
  };
}

async function unpackPackage(): Promise<void> {
  mkdirSync(dirname(UNPACKED), { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'prometheus-'));
  try {
    await run('apt-get', ['download', 'prometheus'], { cwd: folder });
    const file = readdirSync(folder).find((name) => name.endsWith('.deb'))!;
    await run('dpkg', ['-x', join(folder, file), join(folder, 'unpacked')]);
    renameSync(join(folder, 'unpacked'), UNPACKED);
  } catch (error) {
    const reason = (error as Error).message.trim().split('\n').at(-1);
    throw new Error(
      `no prometheus and promtool on PATH: install them (Debian: prometheus); download: ${reason}`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs promtool; what it said, and whether it was content. */
export async function promtool(...args: string[]): Promise<{ ok: boolean; output: string }> {
  const { promtool: program } = await findPrograms();
  try {
    const { stdout, stderr } = await run(program, args, { maxBuffer: OUTPUT_OCTETS_MAX });
    return { ok: true, output: `${stdout}${stderr}` };
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { ok: false, output: `${stdout}${stderr}` };
  }
}
