// Finds prometheus and promtool: on PATH, or out of the Debian package, which is downloaded and unpacked into var/cache and
// not installed, so that no service of it starts. Plain JavaScript for Node >= 20 without dependencies.
//
// Fails: neither there nor to be had -> an error that says what to install.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onPath } from './on-path.mjs';
import { runTool } from './run-tool.mjs';

const CACHE_DIR = fileURLToPath(new URL('../../var/cache', import.meta.url));
const UNPACKED = join(CACHE_DIR, 'prometheus');

async function unpackPackage() {
  mkdirSync(CACHE_DIR, { recursive: true });
  const folder = mkdtempSync(join(CACHE_DIR, 'prometheus-'));
  try {
    await runTool('apt-get', ['download', 'prometheus'], { cwd: folder });
    const file = readdirSync(folder).find((name) => name.endsWith('.deb'));
    if (file === undefined) throw new Error('apt-get download left no package');
    await runTool('dpkg', ['-x', join(folder, file), join(folder, 'unpacked')]);
    renameSync(join(folder, 'unpacked'), UNPACKED);
  } catch (error) {
    const reason = error.message.trim().split('\n').at(-1);
    throw new Error(
      `no prometheus and promtool on PATH: install them (Debian: prometheus); download: ${reason}`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Paths of both programs.
 * @returns {Promise<{ prometheus: string, promtool: string }>}
 */
export async function findPrometheus() {
  const [prometheus, promtool] = [onPath('prometheus'), onPath('promtool')];
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool };
  if (!existsSync(UNPACKED)) await unpackPackage();
  return { prometheus: join(UNPACKED, 'usr/bin/prometheus'), promtool: join(UNPACKED, 'usr/bin/promtool') };
}
