// The configuration as a JSON Schema (draft-07), for those who check a file before any service reads it: Helm, editors. Pure.
import { z } from 'zod';
import { configSchema } from './schema.ts';

export type JsonSchema = Record<string, unknown>;

/**
 * What an operator may write. Contradictions between keys are not in it; of durations and sizes it has the form only. Defaults
 * are left out: zod knows them parsed, in milliseconds and octets.
 */
export function configJsonSchema(): JsonSchema {
  return inputSchema(configSchema);
}

/**
 * The ranges of durations and sizes by their paths ("drain.wait": ["0 s", "5 min"]), which a JSON Schema cannot say. Those within
 * lists of groups are left out.
 */
export function configRanges(): Record<string, [min: string, max: string]> {
  return Object.fromEntries(rangesOf(configJsonSchema() as Part, []));
}

interface Part {
  between?: [string, string];
  properties?: Record<string, Part>;
  items?: Part;
}

function rangesOf(
  { properties = {}, items, between }: Part,
  path: readonly string[],
): [string, [string, string]][] {
  const range = between ?? items?.between;
  if (range !== undefined) return [[path.join('.'), range]];
  return Object.entries(properties).flatMap(([key, part]) => rangesOf(part, [...path, key]));
}

/** Any schema as what may be given to it. */
export function inputSchema(schema: z.ZodType): JsonSchema {
  const made = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      delete jsonSchema.default;
    },
  });
  const { $schema: _, ...rest } = made as JsonSchema;
  return rest;
}
