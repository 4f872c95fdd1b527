import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { debianMirrors } from './fetch-nats-distribution.mjs';
import { cachedNatsServer, natsVersionOf } from './find-nats.mjs';

/** A program in `dir` that says that it is this version. */
function fakeServer(dir: string, version: string): string {
  const path = join(dir, 'nats-server');
  writeFileSync(path, `#!/bin/sh\necho "nats-server: ${version}"\n`, { mode: 0o755 });
  return path;
}

/** What is found with these variables set. */
function foundWith(env: Record<string, string>): string | undefined {
  const before = { ...process.env };
  Object.assign(process.env, env);
  try {
    return cachedNatsServer();
  } finally {
    for (const name of Object.keys(env)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
}

describe('A nats-server', () => {
  const dir = mkdtempSync(join(tmpdir(), 'postrider-nats-'));

  test('has the version that it says', () => {
    expect(natsVersionOf(fakeServer(dir, 'v2.15.1'))).toEqual([2, 15, 1]);
    expect(natsVersionOf(fakeServer(dir, 'what?'))).toBeUndefined();
    expect(natsVersionOf(join(dir, 'nothing'))).toBeUndefined();
  });

  test('that NATS_SERVER names is taken, or refused at once when it will not do', () => {
    const path = fakeServer(dir, 'v3.0.0');
    expect(foundWith({ NATS_SERVER: path, PATH: '' })).toBe(path);
    fakeServer(dir, 'v2.14.9');
    expect(() => foundWith({ NATS_SERVER: path })).toThrow(`${path} is 2.14.9, needed is 2.15`);
  });

  test('on PATH is taken when it is new enough', () => {
    const path = fakeServer(dir, 'v2.15.0');
    expect(foundWith({ NATS_SERVER: '', PATH: `/nowhere:${dir}:/bin` })).toBe(path);
    fakeServer(dir, 'v2.14.9');
    expect(foundWith({ NATS_SERVER: '', PATH: `${dir}:/bin` })).not.toBe(path);
    rmSync(dir, { recursive: true });
  });
});

describe("Debian's mirrors", () => {
  test("are the machine's own, then Debian's", () => {
    const apt = mkdtempSync(join(tmpdir(), 'postrider-apt-'));
    mkdirSync(join(apt, 'sources.list.d'));
    writeFileSync(
      join(apt, 'sources.list'),
      '# deb http://old.example/debian stable main\ndeb https://mirror.example/debian/ stable main\n',
    );
    writeFileSync(
      join(apt, 'sources.list.d/debian.sources'),
      'Types: deb\nURIs: http://other.example/debian\nSuites: stable\n\nURIs: http://other.example/debian-security\n',
    );
    expect(debianMirrors(apt)).toEqual([
      'https://mirror.example/debian',
      'http://other.example/debian',
      'http://deb.debian.org/debian',
    ]);
    expect(debianMirrors('/nowhere')).toEqual(['http://deb.debian.org/debian']);
    rmSync(apt, { recursive: true });
  });
});
