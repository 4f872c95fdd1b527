import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { Step } from './check-steps.mjs';
import { runChecks } from './run-checks.mjs';

const folder = mkdtempSync(join(tmpdir(), 'postrider-checks-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes the result that jest would, with so many tests passed and failed; ends with 1 when one failed. */
async function runNode(args: string[]): Promise<number> {
  const [passed, failed] = args.map(Number) as [number, number];
  const file = args.find((arg) => arg.startsWith('--outputFile='))?.slice('--outputFile='.length);
  const result = { numPassedTests: passed, numFailedTests: failed, numRuntimeErrorTestSuites: 0 };
  if (file !== undefined) writeFileSync(file, JSON.stringify(result));
  return failed === 0 ? 0 : 1;
}

const step = (name: string, passed: number, failed = 0): Step => ({
  name,
  what: 'tests',
  args: [String(passed), String(failed)],
  isJest: true,
});
const unable = (name: string): Step => ({
  ...step(name, 5),
  needs: () => Promise.reject(new Error('no Docker Engine answers (docker: not there)')),
});

async function summary(steps: Step[], demandsAll = false): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  const code = await runChecks({ steps, runNode, log, print: log, folder, demandsAll });
  return { code, lines: lines.slice(lines.findIndex((line) => line.startsWith('tests: '))) };
}

describe('The run of all checks', () => {
  test('passes when every step passes, and counts their tests', async () => {
    expect(await summary([step('unit', 3), step('system', 4)])).toEqual({
      code: 0,
      lines: ['tests: 7 passed, 0 failed'],
    });
  });

  test('goes on after a step that failed, and fails', async () => {
    expect(await summary([step('unit', 3, 1), step('system', 4)])).toEqual({
      code: 1,
      lines: ['tests: 7 passed, 1 failed', 'FAILED: unit'],
    });
  });

  test('says plainly what could not be run here, and why', async () => {
    expect(await summary([step('unit', 3), unable('containers')])).toEqual({
      code: 0,
      lines: [
        'tests: 3 passed, 0 failed',
        'containers: NOT RUN: no Docker Engine answers (docker: not there)',
      ],
    });
  });

  test('fails for that reason where everything is demanded', async () => {
    const { code, lines } = await summary([step('unit', 3), unable('containers')], true);
    expect(code).toBe(1);
    expect(lines.at(-1)).toBe('FAILED: POSTRIDER_CHECKS=all, and not everything was run');
  });
});
