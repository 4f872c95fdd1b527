// Unit tests sit beside the file they test (libs, services); tests that start servers live under test/.
const project = (displayName, roots) => ({
  displayName,
  roots,
  testEnvironment: 'node',
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/test/kit/strip.cjs' },
  injectGlobals: false,
});

const wholeSystem = ['system', 'scenarios', 'dialogs', 'tidy'].map((folder) => `<rootDir>/test/${folder}`);

export default {
  projects: [
    project('unit', ['<rootDir>/libs', '<rootDir>/services', '<rootDir>/deploy', '<rootDir>/test/kit']),
    project('system', wholeSystem),
  ],
};
