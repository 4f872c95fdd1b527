// Unit tests sit beside the file they test (libs, services) and run without servers; tests that start servers live under
// test/ and run one file at a time.
import { existsSync } from 'node:fs';

const UNIT = [
  'libs',
  'services',
  'deploy',
  'test/kit',
  'test/tidy',
  'test/simulation',
  'test/crash',
  'test/before',
];
const SYSTEM = ['test/system', 'test/scenarios', 'test/dialogs'];
const JAEGER = ['test/jaeger'];
/** Needs Prometheus; see test/monitoring/programs.ts. */
const MONITORING = ['test/monitoring'];
const HELM = ['test/helm'];
/** Needs a Docker Engine. */
const CONTAINERS = ['test/containers'];

const project = (displayName, folders) => ({
  displayName,
  roots: folders.filter((folder) => existsSync(folder)).map((folder) => `<rootDir>/${folder}`),
  testEnvironment: 'node',
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/test/kit/strip.cjs' },
  injectGlobals: false,
});

export default {
  projects: [
    project('unit', UNIT),
    project('system', SYSTEM),
    project('jaeger', JAEGER),
    project('monitoring', MONITORING),
    project('helm', HELM),
    project('containers', CONTAINERS),
  ],
  // Only `--coverage` runs look at these: decisions live in machines, and every branch of them is tested.
  collectCoverageFrom: ['{libs,services}/**/*.machine.ts'],
  coverageThreshold: { '{libs,services}/**/*.machine.ts': { branches: 100 } },
};
