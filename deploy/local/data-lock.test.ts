import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { lockData } from './data-lock.ts';
import { commandLineOf } from './processes.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'postrider-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const lockFile = () => join(dir, 'lock');
/** No process has this id: it is over the highest that systems give. */
const NOBODY = 4_194_305;

describe('The lock of a data directory', () => {
  test('is held by one starter at a time', () => {
    const lock = lockData(dir);
    expect(() => lockData(dir)).toThrow(`${dir} is in use by process ${process.pid}`);
    lock.release();
    expect(existsSync(lockFile())).toBe(false);
    lockData(dir).release();
  });

  const stale: [string, string][] = [
    ['of a process that is gone', JSON.stringify({ pid: NOBODY, commandLine: 'node start.ts' })],
    ['of a process id that is used again', JSON.stringify({ pid: process.pid, commandLine: 'vi' })],
    ['that was cut short', '{"pid":'],
    ['that is empty', ''],
    ['that says something else', '[]'],
  ];
  test.each(stale)('%s is taken over', (_, text) => {
    writeFileSync(lockFile(), text);
    const lock = lockData(dir);
    const { pid, commandLine } = JSON.parse(readFileSync(lockFile(), 'utf8'));
    expect([pid, commandLine]).toEqual([process.pid, commandLineOf(process.pid)]);
    lock.release();
  });
});
