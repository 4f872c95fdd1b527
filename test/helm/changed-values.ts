// For every key of the chart's values another value than its default, that the schema takes.
import { valuesSchema } from '../../deploy/helm/chart-values.ts';

interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  anyOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  items?: Schema;
  pattern?: string;
}

/** Keys of values.yaml that hold a single value, a list or a map of anything. */
export interface Leaf {
  path: readonly string[];
  schema: Schema;
}

function leavesOf(schema: Schema, path: readonly string[]): Leaf[] {
  const inner = Object.entries(schema.properties ?? {});
  if (inner.length === 0) return [{ path, schema }];
  return inner.flatMap(([key, group]) => leavesOf(group, [...path, key]));
}

/** Every key but `global`, which is Helm's, and those of postrider.yaml, which the services obey. */
export function chartLeaves(): Leaf[] {
  const of = valuesSchema() as Schema;
  return leavesOf(of, []).filter(({ path }) => path[0] !== 'config' && path[0] !== 'global');
}

/** Texts, one of which fits any pattern that the schema has. */
const TEXTS = [
  'changed',
  '77s',
  '7 s',
  '192.0.2.0/25',
  `sha256:${'a'.repeat(64)}`,
  '777',
  'http://changed:9090',
  '777Gi',
];

/** Another value than `now`; undefined when the schema allows none that we can think of. */
export function changed({ schema }: Pick<Leaf, 'schema'>, now: unknown): unknown {
  if (schema.anyOf !== undefined) {
    return schema.anyOf.map((one) => changed({ schema: one }, now)).find((value) => value !== undefined);
  }
  if (schema.const !== undefined) return schema.const === now ? undefined : schema.const;
  if (schema.enum !== undefined) return schema.enum.findLast((value) => value !== now && value !== '');
  switch (Array.isArray(schema.type) ? schema.type.find((type) => type === typeof now) : schema.type) {
    case 'boolean':
      return now !== true;
    case 'integer':
    case 'number':
      return typeof now === 'number' ? now + 7 : 7;
    case 'string':
      return TEXTS.find((text) => text !== now && new RegExp(schema.pattern ?? '').test(text));
    case 'array':
      return [changed({ schema: schema.items ?? {} }, undefined)];
    default:
      return { changed: 'yes' };
  }
}

export type Values = { [key: string]: unknown };

export function valueAt(values: unknown, path: readonly string[]): unknown {
  return path.reduce((at, key) => (at as Values | undefined)?.[key], values);
}

/** A copy of `values` with another value at `path`. */
export function withValue(values: Values, [key, ...rest]: readonly string[], value: unknown): Values {
  if (rest.length === 0) return { ...values, [key!]: value };
  return { ...values, [key!]: withValue((values[key!] ?? {}) as Values, rest, value) };
}
