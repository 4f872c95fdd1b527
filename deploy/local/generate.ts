// Generates proto/gen from proto/postrider/v1. `--check` generates into var/ and fails when proto/gen differs.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

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

if (process.argv.includes('--check')) {
  if (!isUpToDate()) {
    console.error('proto/gen differs from what proto/postrider/v1 generates: run `npm run generate`');
    process.exit(1);
  }
} else {
  generate('proto/gen');
}
