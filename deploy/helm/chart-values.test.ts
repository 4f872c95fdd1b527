import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { valuesSchema } from './chart-values.ts';

const read = (name: string) => readFileSync(new URL(`postrider/${name}`, import.meta.url), 'utf8');

interface Group {
  properties?: Record<string, Group>;
}

/** Paths of all keys that the schema names, but those of postrider.yaml and of what a key maps freely. */
function keysOf({ properties = {} }: Group, above = ''): string[] {
  return Object.entries(properties).flatMap(([key, group]) => {
    const path = `${above}${key}`;
    return path === 'config' ? [path] : [path, ...keysOf(group, `${path}.`)];
  });
}

/** True when values.yaml has a default at this path. */
function hasDefault(values: unknown, path: string): boolean {
  let at = values;
  for (const key of path.split('.')) {
    if (typeof at !== 'object' || at === null || !(key in at)) return false;
    at = (at as Record<string, unknown>)[key];
  }
  return true;
}

/** Keys that are not set when they have no value. */
const UNSET = /^global$|\.(terminationGracePeriodSeconds|minAvailable|claims|requests|limits)$/;

describe('values.schema.json', () => {
  test('is what `npm run generate` writes', () => {
    expect(JSON.parse(read('values.schema.json'))).toEqual(valuesSchema());
  });

  test('has no key without a default in values.yaml, and the other way round', () => {
    const values = parse(read('values.yaml')) as Record<string, unknown>;
    const keys = keysOf(valuesSchema());
    expect(keys.length).toBeGreaterThan(150);
    expect(keys.filter((path) => !UNSET.test(path) && !hasDefault(values, path))).toEqual([]);
    expect(Object.keys(values).filter((key) => !keys.includes(key))).toEqual([]);
  });
});
