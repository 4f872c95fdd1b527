// Objects against the schemas of Kubernetes, of the Prometheus operator, KEDA and cert-manager, without any cluster: compiled
// validators for what must be there and what it must be, and the type checker for keys that no schema knows, which a validator
// lets through and an API server prunes or refuses.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Manifest } from './helm.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const PACKAGES: readonly (readonly [RegExp, string])[] = [
  [/^monitoring\.coreos\.com\//, '@kubernetes-models/prometheus-operator'],
  [/^keda\.sh\//, '@kubernetes-models/keda'],
  [/^cert-manager\.io\//, '@kubernetes-models/cert-manager'],
  [/./, 'kubernetes-models'],
];

/** Module of the package that describes objects of that group and version. */
function moduleOf(apiVersion: string): string {
  const [, name] = PACKAGES.find(([pattern]) => pattern.test(apiVersion))!;
  return `${name}/${apiVersion}`;
}

type Model = new (manifest: Manifest) => { validate: () => void };

/** What the validator of its kind says; undefined when it fits. */
export async function schemaTrouble(manifest: Manifest): Promise<string | undefined> {
  const models = (await import(moduleOf(manifest.apiVersion))) as Record<string, Model | undefined>;
  const model = models[manifest.kind];
  if (model === undefined) return `no kind ${manifest.kind} in ${manifest.apiVersion}`;
  try {
    new model(manifest).validate();
    return undefined;
  } catch (error) {
    return `${manifest.kind} ${manifest.metadata.name}: ${(error as Error).message}`;
  }
}

const COMPILER_OPTIONS = {
  noEmit: true,
  strict: true,
  skipLibCheck: true,
  target: 'es2024',
  module: 'nodenext',
  moduleResolution: 'nodenext',
  types: [],
};

/** Each list as a module of constants whose types are the interfaces of their kinds. */
function programText(manifests: readonly Manifest[]): string {
  const lines = manifests.map((manifest, i) => {
    const type = `import('${moduleOf(manifest.apiVersion)}').I${manifest.kind}`;
    return `export const object${i}: ${type} = ${JSON.stringify(manifest, null, 1)};`;
  });
  return `${lines.join('\n')}\n`;
}

/** Everything that the type checker has against these lists; the name of a list stands before each line. */
export function typeTroubles(lists: Readonly<Record<string, readonly Manifest[]>>): Promise<string[]> {
  // Below the root, so that the packages are found.
  mkdirSync(join(ROOT, 'var/test'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'var/test/manifests-'));
  const files = Object.entries(lists).map(([name, manifests]) => {
    writeFileSync(join(folder, `${name}.mts`), programText(manifests));
    return `${name}.mts`;
  });
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files }));
  const checker = join(ROOT, 'node_modules/typescript/bin/tsc');
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [checker, '--project', folder, '--pretty', 'false'],
      { encoding: 'utf8' },
      (error, out) => {
        rmSync(folder, { recursive: true });
        const lines = out.split('\n').filter((line) => line.trim() !== '');
        resolve(error !== null && lines.length === 0 ? [error.message] : lines);
      },
    );
  });
}
