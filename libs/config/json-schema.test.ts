import { describe, expect, test } from '@jest/globals';
import { configJsonSchema, configRanges, type JsonSchema } from './json-schema.ts';

/** Every schema within `schema`, itself too. */
function parts(schema: unknown): JsonSchema[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const inner = Object.values(schema).flatMap(parts);
  return Array.isArray(schema) ? inner : [schema as JsonSchema, ...inner];
}

describe('The JSON Schema of the configuration', () => {
  const schema = configJsonSchema();

  test('refuses keys that it does not know, at every level', () => {
    const groups = parts(schema).filter(
      ({ type, properties }) => type === 'object' && properties !== undefined,
    );
    expect(groups.length).toBeGreaterThan(10);
    expect(groups.filter(({ additionalProperties }) => additionalProperties !== false)).toEqual([]);
  });

  test('asks for no key that has a default, and tells none', () => {
    expect(schema.required).toBeUndefined();
    expect(parts(schema).filter((part) => 'default' in part)).toEqual([]);
  });

  test('has the ranges of durations and sizes beside it', () => {
    expect(configRanges()).toMatchObject({
      'drain.wait': ['0 s', '5 min'],
      'nats.spoolSizeMax': ['1 MiB', '100000 GiB'],
      'retry.schedule': ['1 s', '7 d'],
    });
  });

  test('takes durations and sizes as an operator writes them', () => {
    const { drain, nats } = schema.properties as Record<string, { properties: Record<string, JsonSchema> }>;
    const wait = drain!.properties.wait!;
    expect(wait).toMatchObject({
      type: 'string',
      description: expect.stringContaining('between 0 s and 5 min'),
    });
    const takes = (part: JsonSchema, text: string) => new RegExp(part.pattern as string).test(text);
    expect(['5 min', '10s', '0 ms', '2 d'].every((text) => takes(wait, text))).toBe(true);
    expect(['5', 'min', '5 days', '-1 s', '1.5 h'].some((text) => takes(wait, text))).toBe(false);
    expect(takes(nats!.properties.spoolSizeMax!, '20 GiB')).toBe(true);
    expect(takes(nats!.properties.spoolSizeMax!, '20 Gi')).toBe(false);
  });
});
