// The values that the chart is tested with: every file of its folder ci.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CHART, type Manifest, render } from './helm.ts';

/** Files of the folder ci. */
export const matrix: readonly string[] = readdirSync(join(CHART, 'ci')).sort();

const rendered = new Map<string, Promise<Manifest[]>>();

/** All objects for a file of the matrix; rendered once. */
export function objectsOf(file: string): Promise<Manifest[]> {
  const known = rendered.get(file) ?? render(file);
  rendered.set(file, known);
  return known;
}

/** Those of one kind. */
export async function ofKind<T extends Manifest>(file: string, kind: string): Promise<T[]> {
  return (await objectsOf(file)).filter((manifest) => manifest.kind === kind) as T[];
}
