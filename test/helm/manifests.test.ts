// Every object that the chart makes, against the schemas of those who will read it.
import { describe, expect, jest, test } from '@jest/globals';
import type { Manifest } from './helm.ts';
import { schemaTrouble, typeTroubles } from './kubernetes-schemas.ts';
import { matrix, objectsOf } from './matrix.ts';

jest.setTimeout(60_000);

const service = (more: object): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'x' },
  spec: { ports: [{ port: 25, ...more }] },
});

describe('Every object', () => {
  test.each(matrix)('fits the schema of its kind, with %s', async (file) => {
    const troubles = await Promise.all((await objectsOf(file)).map(schemaTrouble));
    expect(troubles.length).toBeGreaterThan(25);
    expect(troubles.filter((trouble) => trouble !== undefined)).toEqual([]);
  });

  test('has no key that its schema does not know', async () => {
    const lists = Object.fromEntries(
      await Promise.all(matrix.map(async (file) => [file, await objectsOf(file)] as const)),
    );
    expect(await typeTroubles(lists)).toEqual([]);
  });

  test.each(matrix)('stands there once, in its namespace, with its labels, with %s', async (file) => {
    const objects = (await objectsOf(file)).filter(({ metadata }) => !/-(more|text)$/.test(metadata.name));
    const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    for (const { metadata } of objects) {
      expect(metadata.namespace).toMatch(/^(mail|monitoring)$/);
      expect(metadata.name.length).toBeLessThanOrEqual(63);
      expect(metadata.labels).toMatchObject({
        'app.kubernetes.io/instance': 'mta',
        'app.kubernetes.io/managed-by': 'Helm',
        'helm.sh/chart': expect.stringMatching(/^postrider-/),
      });
    }
  });
});

describe('The schemas', () => {
  test('refuse what is wrong', async () => {
    expect(await schemaTrouble(service({}))).toBeUndefined();
    expect(await schemaTrouble(service({ port: 'smtp' }))).toContain('port');
    expect(await schemaTrouble({ ...service({}), kind: 'Servant' })).toBe('no kind Servant in v1');
    expect(await typeTroubles({ good: [service({})] })).toEqual([]);
    expect(await typeTroubles({ bad: [service({ targetport: 2525 })] })).toEqual([
      expect.stringContaining(`targetport"' does not exist in type`),
    ]);
  });
});
