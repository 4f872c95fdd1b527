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
