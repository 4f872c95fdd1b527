import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { durableMail } from './durable-mail.ts';
import { type JestReport, judgeHere, judgeThere, namePattern } from './judge.ts';
import { ROOT } from './run-tests.ts';
import { chosenRows } from './table.ts';

const claim = { file: 'test/system/a.test.ts', test: 'is counted', says: /Received: +0/ };

type Assertion = JestReport['testResults'][number]['assertionResults'][number];

const reportOf = (...assertionResults: Assertion[]): JestReport => ({
  testResults: [{ name: '/tree/test/system/a.test.ts', message: 'all of it', assertionResults }],
});

const failed = (fullName: string, words: string): Assertion => ({
  fullName,
  status: 'failed',
  failureMessages: [words],
});

describe('A test on the older commit', () => {
  test('that fails with the words of the table is the proof, coloured or not', () => {
    const report = reportOf(
      failed('A mail is counted', 'Expected: 1\n\u001b[31mReceived:\u001b[39m 0\n  at x'),
    );
    expect(judgeThere(report, claim)).toEqual({ kind: 'fails', words: 'Received: 0' });
  });

  test('that fails with other words is none', () => {
    const report = reportOf(failed('A mail is counted', 'no nats-server'));
    expect(judgeThere(report, claim)).toEqual({ kind: 'fails otherwise', words: 'no nats-server' });
  });

  test('that passes is none, nor are several of which one passes', () => {
    const passed = { fullName: 'B is counted', status: 'passed', failureMessages: [] };
    expect(judgeThere(reportOf(passed), claim)).toEqual({ kind: 'passes' });
    const both = reportOf(failed('A is counted', 'Received: 0'), passed);
    expect(judgeThere(both, claim)).toEqual({ kind: 'passes' });
  });

  test('whose file could not be loaded is none', () => {
    expect(judgeThere(reportOf(), claim)).toEqual({ kind: 'not loaded', words: 'all of it' });
    expect(judgeThere({ testResults: [] }, claim)).toMatchObject({ kind: 'not loaded' });
  });

  test('that was not run is none', () => {
    const other = { fullName: 'A mail is counted', status: 'pending' };
    expect(judgeThere(reportOf(other), claim)).toEqual({ kind: 'no such test' });
  });

  test('is meant by the end of its name when the table says so', () => {
    const report = reportOf(failed('it is counted', 'Received: 0'), failed('it is counted twice', 'else'));
    expect(judgeThere(report, { ...claim, test: 'is counted$' })).toMatchObject({ kind: 'fails' });
  });
});

describe('A test here', () => {
  test('passes, and took so long', () => {
    const report = reportOf({ fullName: 'A is counted', status: 'passed', duration: 12 });
    expect(judgeHere(report, claim)).toEqual({ tookMs: 12 });
  });

  test('fails, or is not there, in words', () => {
    expect(judgeHere(reportOf(failed('A is counted', 'why')), claim)).toEqual({ words: 'why' });
    expect(judgeHere(reportOf(), claim)).toEqual({ words: 'all of it' });
    expect(judgeHere({ testResults: [] }, claim)).toEqual({ words: 'the file was not run' });
  });
});

test('Names are no patterns to jest but for their end', () => {
  expect(namePattern([{ test: 'a (b) 1.5 $x' }, { test: 'c$' }, { test: 'c$' }])).toBe(
    '(a \\(b\\) 1\\.5 \\$x|c$)',
  );
});

describe('The table', () => {
  test('names files that are there, and each row once', () => {
    const files = durableMail.rows.flatMap(({ tests }) => tests.map(({ file }) => file));
    const patch = join('test/before', durableMail.patch);
    expect([...files, patch].filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
    expect(new Set(durableMail.rows.map(({ row }) => row)).size).toBe(durableMail.rows.length);
    expect(durableMail.rows.filter(({ tests }) => tests.length === 0)).toEqual([]);
  });

  test('gives the rows that are asked for, and says which there are', () => {
    expect(chosenRows(durableMail, undefined)).toBe(durableMail.rows);
    expect(chosenRows(durableMail, ['B1']).map(({ row }) => row)).toEqual(['B1']);
    expect(() => chosenRows(durableMail, ['Z9'])).toThrow(/no row Z9; there are A1, A2/);
  });
});
