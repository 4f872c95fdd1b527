// Runs the steps of `npm test`. All steps run, so that one run shows all that is wrong; what failed is said again at the
// end, and so is what could not be run on this machine: with POSTRIDER_CHECKS=all that is a failure too. Plain JavaScript
// for Node >= 20 without dependencies.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Tests of all steps together; a step that left no result counts as one that failed. */
function totals(names, folder) {
  let [passed, failed] = [0, 0];
  for (const name of names) {
    try {
      const result = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
      passed += result.numPassedTests;
      failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
    } catch {
      failed += 1;
    }
  }
  return { passed, failed };
}

/** The first line says it all; the others are what was tried. */
async function hindranceOf({ needs }, log) {
  try {
    await needs?.({ log });
    return undefined;
  } catch (error) {
    return error.message;
  }
}

/**
 * Exit code: 0 when every step that could be run has passed.
 * @param {object} options
 * @param {import('./check-steps.mjs').Step[]} options.steps
 * @param {(args: string[]) => Promise<number>} options.runNode resolves with the exit code
 * @param {(line: string) => void} options.log
 * @param {(line: string) => void} options.print for the one line that programs read
 * @param {string} options.folder for results; what is in it goes
 * @param {boolean} options.demandsAll a step that cannot be run is one that failed
 */
export async function runChecks({ steps, runNode, log, print, folder, demandsAll }) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const [ran, failed, notRun] = [[], [], []];
  for (const [i, step] of steps.entries()) {
    const { name, what, args, isJest } = step;
    const number = `[${i + 1}/${steps.length}]`;
    log(`${number} ${name}: ${what}`);
    const hindrance = await hindranceOf(step, log);
    if (hindrance !== undefined) {
      notRun.push(`${name}: NOT RUN: ${hindrance}`);
      log(`${number} ${notRun.at(-1)}`);
      continue;
    }
    const startedAt = Date.now();
    const code = await runNode(isJest ? [...args, '--json', `--outputFile=${folder}/${name}.json`] : args);
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
    log(`${number} ${name}: ${code === 0 ? 'passed' : `FAILED (code ${code})`} in ${seconds} s`);
    if (isJest) ran.push(name);
    if (code !== 0) failed.push(name);
  }
  const counts = totals(ran, folder);
  print(`tests: ${counts.passed} passed, ${counts.failed} failed`);
  for (const line of notRun) log(line);
  if (failed.length > 0) log(`FAILED: ${failed.join(', ')}`);
  if (demandsAll && notRun.length > 0) log('FAILED: POSTRIDER_CHECKS=all, and not everything was run');
  return failed.length === 0 && !(demandsAll && notRun.length > 0) ? 0 : 1;
}
