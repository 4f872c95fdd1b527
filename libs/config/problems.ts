// What is wrong with a configuration, in words for its author: the path of the key and what was expected there.
import type { z } from 'zod';

export type KeyPath = readonly (string | number)[];

export interface Problem {
  path: KeyPath;
  message: string;
}

type Issue = z.core.$ZodIssue;

/** `listeners[0].port`. */
export function keyPathText(path: KeyPath): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? key : `.${key}`;
  }
  return text;
}

/** What stands at `path`; undefined when nothing does. */
export function valueAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

function describeFound(value: unknown): string {
  if (value === undefined) return 'the key is missing';
  return typeof value === 'object' && value !== null
    ? `found a ${Array.isArray(value) ? 'list' : 'group of keys'}`
    : `found ${JSON.stringify(value)}`;
}

/** "Invalid input: expected number, received string" -> "expected number". */
function expectation(message: string): string {
  const text = message.replace(/^(Invalid input|Too small|Too big|Invalid option|Invalid string): /, '');
  return text.replace(/, received .*$/, '');
}

function countOf(issues: readonly Issue[]): number {
  return issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1), 0);
}

/** The alternative that was most nearly met. */
function nearestOf(alternatives: readonly (readonly Issue[])[]): readonly Issue[] {
  return alternatives.reduce((nearest, issues) => (countOf(issues) < countOf(nearest) ? issues : nearest));
}

function problemsOf(issue: Issue, above: KeyPath, given: unknown): Problem[] {
  const path = [...above, ...issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key))];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], message: 'unknown key' }));
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    return nearestOf(issue.errors).flatMap((inner) => problemsOf(inner, path, given));
  }
  return [{ path, message: `${expectation(issue.message)}; ${describeFound(valueAt(given, path))}` }];
}

/** One problem per refused key. `given` is what the file says, for the words about what was found. */
export function problemsOfIssues(issues: readonly Issue[], given: unknown): Problem[] {
  return issues.flatMap((issue) => problemsOf(issue, [], given));
}
