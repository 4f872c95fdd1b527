// What `npm test` does, step by step. Plain JavaScript for Node >= 20 without dependencies.
import { findHelm } from './find-helm.mjs';
import { findJaeger } from './find-jaeger.mjs';
import { findPrometheus } from './find-prometheus.mjs';
import { runTool } from './run-tool.mjs';

const ANSWER_MS_MAX = 20_000;

const JEST = [
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
  'node_modules/jest/bin/jest.js',
];

/** One project of jest. */
const jest = (name, ...more) => [...JEST, '--selectProjects', name, ...more];
/** Tests with servers: one file at a time, and one that failed may leave a server open, which must not keep the run from
 * ending. */
const jestWithServers = (name) => jest(name, '--runInBand', '--forceExit');

/** Rejects with the reason when no Docker Engine can be used. */
async function dockerEngine() {
  try {
    await runTool('docker', ['version', '--format', '{{.Server.Version}}'], { timeoutMs: ANSWER_MS_MAX });
  } catch (error) {
    throw new Error(`no Docker Engine answers (${error.message.split('\n').at(-1)})`);
  }
}

/**
 * `needs` rejects with the reason why the step cannot be run on this machine. It may fetch what is missing.
 * @typedef {{ name: string, what: string, args: string[], isJest?: true,
 *   needs?: (options: { log: (line: string) => void }) => Promise<unknown> }} Step
 */

/** @type {Step[]} */
export const STEPS = [
  { name: 'lint', what: 'format and lint', args: ['node_modules/@biomejs/biome/bin/biome', 'check', '.'] },
  { name: 'types', what: 'type check', args: ['node_modules/typescript/bin/tsc', '--noEmit'] },
  { name: 'generated', what: 'generated code is up to date', args: ['deploy/local/generate.ts', '--check'] },
  {
    name: 'unit',
    what: 'unit tests; every branch of every machine must be covered',
    args: jest('unit', '--coverage', '--coverageReporters=text-summary'),
    isJest: true,
  },
  {
    name: 'system',
    what: 'whole-system tests: real servers, real sockets',
    args: jestWithServers('system'),
    isJest: true,
  },
  {
    name: 'jaeger',
    what: 'traces of mails in a real Jaeger, which is built first where there is none (needs Go)',
    args: jestWithServers('jaeger'),
    isJest: true,
    needs: findJaeger,
  },
  {
    name: 'monitoring',
    what: 'alerts, runbooks and the dashboard, with a real Prometheus that watches a real cluster',
    args: jestWithServers('monitoring'),
    isJest: true,
    needs: findPrometheus,
  },
  {
    name: 'helm',
    what: 'the chart with a real Helm, which is built first where there is none (needs Go)',
    args: jest('helm', '--runInBand'),
    isJest: true,
    needs: findHelm,
  },
  {
    name: 'containers',
    what: 'the image, and a cluster of it in real containers (needs a Docker Engine)',
    args: jestWithServers('containers'),
    isJest: true,
    needs: dockerEngine,
  },
];
