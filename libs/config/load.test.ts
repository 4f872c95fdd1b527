import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { ConfigError, loadConfig, parseConfig } from './load.ts';
import { configSchema } from './schema.ts';

/** The message with which `text` is refused. */
function refusal(text: string): string {
  try {
    parseConfig('p.yaml', text);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('the configuration was taken');
}

describe('A configuration', () => {
  test('that is empty is all defaults', () => {
    expect(parseConfig('p.yaml', '')).toEqual(configSchema.parse({}));
    expect(parseConfig('p.yaml', '# only words\n')).toEqual(configSchema.parse({}));
  });

  test('has durations in milliseconds and sizes in octets', () => {
    const config = parseConfig('p.yaml', 'retry: { expireAfter: 2 d }\nlimits: { messageSizeMax: 10 MiB }');
    expect(config.retry.expireAfter).toBe(2 * 86_400_000);
    expect(config.limits.messageSizeMax).toBe(10 * 1024 ** 2);
  });

  test('comes from the path, else from POSTRIDER_CONFIG, else from the defaults', () => {
    const dir = mkdtempSync(join(tmpdir(), 'postrider-config-'));
    const [a, b] = [join(dir, 'a.yaml'), join(dir, 'b.yaml')];
    writeFileSync(a, 'hostname: a.test');
    writeFileSync(b, 'hostname: b.test');
    expect(loadConfig(a, { POSTRIDER_CONFIG: b }).hostname).toBe('a.test');
    expect(loadConfig(undefined, { POSTRIDER_CONFIG: b }).hostname).toBe('b.test');
    expect(loadConfig(undefined, {}).hostname).toBeUndefined();
    rmSync(dir, { recursive: true });
  });
});

describe('A configuration is refused with file, line, key and expectation', () => {
  const cases: [string, string, string][] = [
    ['unknown key', 'nats:\n  urk: x', 'p.yaml:2: nats.urk: unknown key'],
    [
      'unknown key in a list',
      'routes:\n  - domain: a.test\n    to: b:25\n    via: x',
      'p.yaml:4: routes[0].via: unknown key',
    ],
    [
      'unknown key in one of two forms',
      'localDomains:\n  - name: a.test\n    gateway: { maildir: x, dir: y }',
      'p.yaml:3: localDomains[0].gateway.dir: unknown key',
    ],
    ['wrong type', 'admin:\n  port: http', 'p.yaml:2: admin.port: expected number; found "http"'],
    [
      'out of range',
      'admin: { port: 70000 }',
      'p.yaml:1: admin.port: expected number to be <=65535; found 70000',
    ],
    [
      'missing key',
      'localDomains:\n  - name: a.test',
      'p.yaml:2: localDomains[0].gateway: expected object; the key is missing',
    ],
    [
      'missing key of a group',
      'tls: { key: k.pem }',
      'p.yaml:1: tls.certificate: expected string; the key is missing',
    ],
    [
      'no duration',
      'retry: { expireAfter: 3 weeks }',
      'p.yaml:1: retry.expireAfter: expected a duration between 1 s and 30 d, such as "5 min"; found "3 weeks"',
    ],
    [
      'one of',
      'listeners:\n  - port: 25\n    role: mta',
      'p.yaml:3: listeners[0].role: expected one of "mx"|"relay"; found "mta"',
    ],
    ['no group', 'nats: nats://x', 'p.yaml:1: nats: expected object; found "nats://x"'],
    ['not a mapping', '- a', 'p.yaml: expected object; found a list'],
  ];
  test.each(cases)('%s', (_, text, message) => {
    expect(refusal(text)).toBe(message);
  });

  test('bad YAML', () => {
    expect(refusal('a: [')).toMatch(/^p\.yaml: not YAML: .* at line 1/);
    expect(refusal('nats: {}\nnats: {}')).toMatch(/^p\.yaml: not YAML: Map keys must be unique/);
  });

  test('a file that is not there', () => {
    expect(() => loadConfig('/nowhere/p.yaml', {})).toThrow(
      '/nowhere/p.yaml: cannot be read (ENOENT); expected a YAML file',
    );
  });

  test('several problems at once', () => {
    expect(refusal('urk: 1\nadmin:\n  port: x\n')).toBe(
      '2 problems\n  p.yaml:3: admin.port: expected number; found "x"\n  p.yaml:1: urk: unknown key',
    );
  });
});
