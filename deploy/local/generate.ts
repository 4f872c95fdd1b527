// Generates proto/gen from proto/postrider/v1, and the files of the chart that our own tables say. `--check` writes nothing
// but var/, and fails when something differs.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { configRanges } from '#libs/config/json-schema.ts';
import { permissionTable } from '#libs/nats/permissions.ts';
import { valuesSchema } from '../helm/chart-values.ts';

/** Single files and what is in them. */
const TEXTS: Readonly<Record<string, () => string>> = {
  'deploy/helm/postrider/files/nats-permissions.json': () => `${JSON.stringify(permissionTable, null, 2)}\n`,
  'deploy/helm/postrider/files/config-ranges.json': () => `${JSON.stringify(configRanges(), null, 2)}\n`,
  'deploy/helm/postrider/values.schema.json': () => `${JSON.stringify(valuesSchema(), null, 2)}\n`,
};

const OPTIONS = [
  'env=node',
  'esModuleInterop=true',
  'importSuffix=.ts',
  'forceLong=number',
  'oneof=unions-value',
  'outputServices=grpc-js',
  'outputJsonMethods=false',
  'outputPartialMethods=false',
  'useExactTypes=false',
  'removeEnumPrefix=true',
  'enumsAsLiterals=true',
  'annotateFilesWithVersion=false',
  'outputTypeRegistry=false',
];

/** Writes the generated TypeScript of every .proto file below `outDir`. */
export function generate(outDir: string): void {
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir, { recursive: true });
  const sources = readdirSync('proto/postrider/v1').map((name) => join('postrider/v1', name));
  const plugin = 'node_modules/.bin/protoc-gen-ts_proto';
  const flags = [`--plugin=${plugin}`, `--ts_proto_out=${outDir}`, `--ts_proto_opt=${OPTIONS.join(',')}`];
  execFileSync('node_modules/.bin/protoc', ['-Iproto', ...flags, ...sources], { stdio: 'inherit' });
}

/** Paths below `dir`, sorted, relative to it. */
function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort();
}

function isUpToDate(): boolean {
  generate('var/gen-check');
  const fresh = filesBelow('var/gen-check');
  const same = (name: string) =>
    readFileSync(join('var/gen-check', name), 'utf8') === readFileSync(join('proto/gen', name), 'utf8');
  return fresh.join() === filesBelow('proto/gen').join() && fresh.every(same);
}

/** Those of `TEXTS` that differ. */
function stale(): string[] {
  return Object.entries(TEXTS).flatMap(([file, text]) =>
    existsSync(file) && readFileSync(file, 'utf8') === text() ? [] : [file],
  );
}

if (process.argv.includes('--check')) {
  const different = [...(isUpToDate() ? [] : ['proto/gen']), ...stale()];
  for (const what of different) console.error(`${what} is not what is generated: run \`npm run generate\``);
  if (different.length > 0) process.exit(1);
} else {
  generate('proto/gen');
  for (const file of stale()) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, TEXTS[file]!());
  }
}
