// Fetches the official release of nats-server for this platform, checked against a pinned SHA-256.
//
// Fails: platform without a pinned sum, no network, another sum -> an error; nothing is left in the cache.
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './run-tool.mjs';

const VERSION = 'v2.15.0';
const RELEASES = 'https://github.com/nats-io/nats-server/releases/download';
const DOWNLOAD_MS_MAX = 180_000;

/**
 * SHA-256 of nats-server-<version>-<key>.tar.gz: linux as the maintainers pin them in their container image
 * (nats-io/nats-docker, commit 629985321b0b, 2.15.x/alpine3.22/Dockerfile).
 */
const SHA256 = {
  'linux-amd64': '5d2c51caca950333aba84911df7d377f826f3a59ec36061c6539105084f65c92',
  'linux-arm64': 'cdc208f5a3f42963a52b6ab06ef65626bb870315dc936e26ba571780c6351112',
  'linux-386': 'f572eccdbb35ab5c7fef7703a5b6ca49e55d039e441920ba5478972ecdcf7a47',
  'linux-arm7': 'ec5f4689d017e07cfa18442e10da051c0f3f9dd2e7f4dc7cdb55a11f1303c952',
  'linux-s390x': 'ac50bf4adc8fa6db575ed9293417b6fbec746e71cc9d360aea5cd447e4207bfc',
  'linux-ppc64le': 'a402bf73f91f674735cc85aa0e7d06d5dfa3044b98cda6ea9937cfee4e05a266',
};

const GO_ARCHITECTURE = {
  x64: 'amd64',
  arm64: 'arm64',
  ia32: '386',
  arm: 'arm7',
  s390x: 's390x',
  ppc64: 'ppc64le',
};

async function download(url) {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_MS_MAX) });
    if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
    return Buffer.from(await answer.arrayBuffer());
  } catch (error) {
    const reason = error.cause?.code ?? error.cause?.message ?? error.message;
    throw new Error(`${url} cannot be fetched (${reason})`);
  }
}

const OFFICIAL = { releases: RELEASES, sums: SHA256 };

/** Puts the program at `target`. The second argument names another place than the official one: tests have one. */
export async function fetchOfficialRelease({ cacheDir, target, log }, { releases, sums } = OFFICIAL) {
  const platform = `${process.platform}-${GO_ARCHITECTURE[process.arch] ?? process.arch}`;
  const expected = sums[platform];
  if (expected === undefined) throw new Error(`no SHA-256 is pinned for ${platform}`);
  const name = `nats-server-${VERSION}-${platform}`;
  const archive = await download(`${releases}/${VERSION}/${name}.tar.gz`);
  const found = createHash('sha256').update(archive).digest('hex');
  if (found !== expected) throw new Error(`${name}.tar.gz has SHA-256 ${found}, expected ${expected}`);
  log(`nats-server: ${name}.tar.gz has the pinned SHA-256`);
  mkdirSync(cacheDir, { recursive: true });
  const dir = mkdtempSync(join(cacheDir, 'release-'));
  try {
    writeFileSync(join(dir, 'archive.tar.gz'), archive);
    await runTool('tar', ['-xzf', 'archive.tar.gz', `${name}/nats-server`], { cwd: dir });
    chmodSync(join(dir, name, 'nats-server'), 0o755);
    renameSync(join(dir, name, 'nats-server'), target);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
