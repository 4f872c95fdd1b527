// What `npm start` fetches when it is missing: the official release of nats-server, from a place of our own.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { fetchOfficialRelease } from '../../deploy/local/fetch-nats-release.mjs';
import { natsVersionOf } from '../../deploy/local/find-nats.mjs';

const ARCHITECTURE: Record<string, string> = { x64: 'amd64', ia32: '386', arm: 'arm7', ppc64: 'ppc64le' };
const PLATFORM = `${process.platform}-${ARCHITECTURE[process.arch] ?? process.arch}`;
const PROGRAM = '#!/bin/sh\necho "nats-server: v2.15.0"\n';

const dir = mkdtempSync(join(tmpdir(), 'postrider-setup-'));
const cacheDir = join(dir, 'cache');
const target = join(cacheDir, 'nats-server');
const asked: string[] = [];
let archive: Buffer = Buffer.alloc(0);
let server: Server;
let releases = '';

/** As releases are packed: one folder, named as the archive. */
function pack(): Buffer {
  const name = `nats-server-v2.15.0-${PLATFORM}`;
  mkdirSync(join(dir, name));
  writeFileSync(join(dir, name, 'nats-server'), PROGRAM);
  writeFileSync(join(dir, name, 'LICENSE'), 'free');
  execFileSync('tar', ['-czf', 'archive.tar.gz', name], { cwd: dir });
  return readFileSync(join(dir, 'archive.tar.gz'));
}

beforeAll(async () => {
  archive = pack();
  server = createServer((request, response) => {
    asked.push(request.url!);
    response.writeHead(request.url!.startsWith('/missing') ? 404 : 200).end(archive);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  releases = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(dir, { recursive: true });
});
beforeEach(() => rmSync(cacheDir, { recursive: true, force: true }));

const sum = () => createHash('sha256').update(archive).digest('hex');

function fetchFrom(place: string, sums: Record<string, string>): Promise<void> {
  return fetchOfficialRelease({ cacheDir, target, log: () => {} }, { releases: place, sums });
}

describe('The official release', () => {
  test('is unpacked into the cache when it has the pinned SHA-256', async () => {
    await fetchFrom(releases, { [PLATFORM]: sum() });
    expect(natsVersionOf(target)).toEqual([2, 15, 0]);
    expect(readdirSync(cacheDir)).toEqual(['nats-server']);
    expect(asked.at(-1)).toBe(`/v2.15.0/nats-server-v2.15.0-${PLATFORM}.tar.gz`);
  });

  test('is refused with another SHA-256, and nothing is left', async () => {
    const pinned = 'a'.repeat(64);
    await expect(fetchFrom(releases, { [PLATFORM]: pinned })).rejects.toThrow(
      `nats-server-v2.15.0-${PLATFORM}.tar.gz has SHA-256 ${sum()}, expected ${pinned}`,
    );
    expect(natsVersionOf(target)).toBeUndefined();
  });

  test('that is not there is said with its address', async () => {
    await expect(fetchFrom(`${releases}/missing`, { [PLATFORM]: sum() })).rejects.toThrow(
      `${releases}/missing/v2.15.0/nats-server-v2.15.0-${PLATFORM}.tar.gz cannot be fetched (HTTP status 404)`,
    );
  });

  test('is not asked for when no sum is pinned for this platform', async () => {
    const before = asked.length;
    await expect(fetchFrom(releases, {})).rejects.toThrow(`no SHA-256 is pinned for ${PLATFORM}`);
    expect(asked).toHaveLength(before);
  });
});
