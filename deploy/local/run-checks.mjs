// The steps of `npm test`: linter, types, generated code, then the tests. All steps run, so that one run shows all that
// is wrong; what failed is said again at the end. Plain JavaScript for Node >= 20 without dependencies.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';

const JEST = [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
];
const RESULTS = 'var/test';

const STEPS = [
  { name: 'lint', what: 'format and lint', args: ['node_modules/@biomejs/biome/bin/biome', 'check', '.'] },
  { name: 'types', what: 'type check', args: ['node_modules/typescript/bin/tsc', '--noEmit'] },
  { name: 'generated', what: 'generated code is up to date', args: ['deploy/local/generate.ts', '--check'] },
  {
    name: 'unit',
    what: 'unit tests; every branch of every machine must be covered',
    args: [...JEST, '--selectProjects', 'unit', '--coverage', '--coverageReporters=text-summary'],
    isJest: true,
  },
  {
    name: 'system',
    what: 'whole-system tests: real servers, real sockets',
    // A test that failed may leave a server open: that must not keep the run from ending.
    args: [...JEST, '--selectProjects', 'system', '--runInBand', '--forceExit'],
    isJest: true,
  },
  {
    name: 'jaeger',
    what: 'traces of mails in a real Jaeger, which is built first where there is none (needs Go)',
    args: [...JEST, '--selectProjects', 'jaeger', '--runInBand', '--forceExit'],
    isJest: true,
  },
  {
    name: 'monitoring',
    what: 'alerts, runbooks and the dashboard, with a real Prometheus that watches a real cluster',
    args: [...JEST, '--selectProjects', 'monitoring', '--runInBand', '--forceExit'],
    isJest: true,
  },
  {
    name: 'helm',
    what: 'the chart with a real Helm, which is built first where there is none (needs Go)',
    args: [...JEST, '--selectProjects', 'helm', '--runInBand'],
    isJest: true,
  },
];

/** Tests of all runs together; undefined when no run left a result. */
function totals() {
  let [passed, failed] = [0, 0];
  for (const { name } of STEPS.filter(({ isJest }) => isJest)) {
    try {
      const result = JSON.parse(readFileSync(`${RESULTS}/${name}.json`, 'utf8'));
      passed += result.numPassedTests;
      failed += result.numFailedTests + result.numRuntimeErrorTestSuites;
    } catch {
      failed += 1;
    }
  }
  return { passed, failed };
}

/** Exit code: 0 when every step passed. */
export async function runChecks({ runNode, log }) {
  rmSync(RESULTS, { recursive: true, force: true });
  mkdirSync(RESULTS, { recursive: true });
  const failed = [];
  for (const [i, { name, what, args, isJest }] of STEPS.entries()) {
    log(`[${i + 1}/${STEPS.length}] ${name}: ${what}`);
    const startedAt = Date.now();
    const output = isJest ? ['--json', `--outputFile=${RESULTS}/${name}.json`] : [];
    const code = await runNode([...args, ...output]);
    const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
    log(
      `[${i + 1}/${STEPS.length}] ${name}: ${code === 0 ? 'passed' : `FAILED (code ${code})`} in ${seconds} s`,
    );
    if (code !== 0) failed.push(name);
  }
  const { passed, failed: failedTests } = totals();
  console.log(`tests: ${passed} passed, ${failedTests} failed`);
  if (failed.length > 0) log(`FAILED: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
}
