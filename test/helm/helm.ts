// Helm as an operator runs it, and what it makes of the chart.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { findHelm } from '../../deploy/local/find-helm.mjs';

export const CHART = fileURLToPath(new URL('../../deploy/helm/postrider', import.meta.url));
export const RELEASE = 'mta';
export const NAMESPACE = 'mail';

export interface Said {
  code: number;
  out: string;
  err: string;
}

/** An object of Kubernetes, as it stands in a manifest. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  [key: string]: unknown;
}

/** Runs Helm; never rejects because of what it says. */
export async function helm(...args: readonly string[]): Promise<Said> {
  const program = await findHelm({ log: () => {} });
  return new Promise((resolve) => {
    execFile(program, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err });
    });
  });
}

/** Values for Helm: a file of the chart's folder ci, or an object. */
export type Values = string | Record<string, unknown>;

async function withValues<T>(values: Values, act: (flags: string[]) => Promise<T>): Promise<T> {
  if (typeof values === 'string') return act(['--values', join(CHART, 'ci', values)]);
  const folder = mkdtempSync(join(tmpdir(), 'postrider-helm-'));
  const file = join(folder, 'values.json');
  // JSON, because Helm reads YAML 1.1, where an unquoted yes is true.
  writeFileSync(file, JSON.stringify(values));
  try {
    return await act(['--values', file]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function lint(values: Values): Promise<Said> {
  return withValues(values, (flags) => helm('lint', '--strict', CHART, ...flags));
}

export function template(values: Values): Promise<Said> {
  return withValues(values, (flags) => helm('template', RELEASE, CHART, '--namespace', NAMESPACE, ...flags));
}

/** All objects of the chart with these values; rejects with what Helm said when it refuses them. */
export async function render(values: Values): Promise<Manifest[]> {
  const { code, out, err } = await template(values);
  if (code !== 0) throw new Error(err);
  return parseAllDocuments(out)
    .map((document) => document.toJS({ maxAliasCount: 0 }) as Manifest | null)
    .filter((manifest) => manifest !== null);
}

/** Why Helm refuses these values; rejects when it takes them. */
export async function refusal(values: Values): Promise<string> {
  const { code, err } = await template(values);
  if (code === 0) throw new Error('the values were taken');
  return err;
}
