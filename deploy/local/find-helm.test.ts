import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { findHelm } from './find-helm.mjs';

const folder = mkdtempSync(join(tmpdir(), 'postrider-find-helm-'));
const program = join(folder, 'helm');
const before = { ...process.env };

afterEach(() => {
  process.env = { ...before };
});

afterAll(() => rmSync(folder, { recursive: true }));

/** What is found when HELM, or else PATH, leads to a program that says that it is this version. */
function foundWith(version: string, env: Record<string, string>): Promise<string> {
  writeFileSync(program, `#!/bin/sh\necho "${version}"\n`, { mode: 0o755 });
  process.env = { ...before, HELM: '', ...env };
  return findHelm({ log: () => {} });
}

describe('Helm', () => {
  test.each(['v4.2', 'v4.2.4', 'v3.18.0'])('%s is taken when HELM names it', async (version) => {
    expect(await foundWith(version, { HELM: program })).toBe(program);
  });

  test.each([
    ['v3.17.3', `HELM: ${program} is v3.17.3, needed is 3.18`],
    ['what?', `HELM: ${program} does not run`],
  ])('%s is refused at once when HELM names it', async (version, message) => {
    await expect(foundWith(version, { HELM: program })).rejects.toThrow(message);
  });

  test('on PATH is taken when HELM names none', async () => {
    expect(await foundWith('v4.1.0', { PATH: folder })).toBe(program);
  });
});
