// Reads the configuration file: YAML in, checked values out. Nothing is guessed: an unknown key, a value out of range or
// settings that contradict each other stop the start, and all of them are named at once.
//
// Fails: no file, bad YAML, anything refused -> ConfigError, whose message names the file, the line, the path of the
// key and what was expected.
import { readFileSync } from 'node:fs';
import { LineCounter, parseDocument } from 'yaml';
import { contradictions } from './contradictions.ts';
import { type KeyPath, keyPathText, type Problem, problemsOfIssues } from './problems.ts';
import { type Config, configSchema } from './schema.ts';

export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[], lineOf: (path: KeyPath) => number | undefined) {
    const lines = problems.map(({ path, message }) => {
      const line = lineOf(path);
      const where = line === undefined ? file : `${file}:${line}`;
      return path.length === 0 ? `${where}: ${message}` : `${where}: ${keyPathText(path)}: ${message}`;
    });
    super(lines.length === 1 ? lines[0]! : [`${lines.length} problems`, ...lines].join('\n  '));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

interface Source {
  /** What the document says; undefined when it is empty. */
  value: unknown;
  /** Line of the key, or of the nearest key above it that is there; from 1. */
  lineOf: (path: KeyPath) => number | undefined;
}

function parseYaml(file: string, text: string): Source {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter });
  const { errors } = document;
  if (errors.length > 0) {
    const problems = errors.map((error) => ({
      path: [],
      message: `not YAML: ${error.message.split('\n')[0]}`,
    }));
    throw new ConfigError(file, problems, () => undefined);
  }
  const lineOf = (path: KeyPath): number | undefined => {
    for (let depth = path.length; depth > 0; depth -= 1) {
      const node: unknown = document.getIn(path.slice(0, depth), true);
      const range = (node as { range?: [number, number, number] | null } | undefined)?.range;
      if (range) return counter.linePos(range[0]).line;
    }
    return undefined;
  };
  return { value: document.toJS() ?? undefined, lineOf };
}

/** The checked configuration that `text` means. `file` is only for messages. */
export function parseConfig(file: string, text: string): Config {
  const { value, lineOf } = parseYaml(file, text);
  const given = value ?? {};
  const result = configSchema.safeParse(given);
  if (!result.success) throw new ConfigError(file, problemsOfIssues(result.error.issues, given), lineOf);
  const problems = contradictions(result.data, given);
  if (problems.length > 0) throw new ConfigError(file, problems, lineOf);
  return result.data;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    const message = `cannot be read (${reason}); expected a YAML file`;
    throw new ConfigError(file, [{ path: [], message }], () => undefined);
  }
}

/** The configuration in the file at `path`, else in the one that POSTRIDER_CONFIG names, else all defaults. */
export function loadConfig(path: string | undefined, env: Record<string, string | undefined>): Config {
  const file = path ?? env.POSTRIDER_CONFIG;
  if (file === undefined || file === '') return configSchema.parse({});
  return parseConfig(file, readText(file));
}
