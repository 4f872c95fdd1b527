// Which files of an installed package no running program reads: declarations, sources of what was compiled, source maps,
// pages, tests. Licences stay.

/** Extensions of what only compilers, editors and people read. */
const NEEDLESS_FILE = /\.(map|ts|mts|cts|flow|md|markdown|ico|tsbuildinfo)$/i;
const LICENCE = /^(licen[cs]e|copying|notice|copyright|authors)/i;
/** At the top of a package. */
const NEEDLESS_FOLDERS = new Set([
  '.github',
  'benchmark',
  'benchmarks',
  'doc',
  'docs',
  'example',
  'examples',
  'test',
  'tests',
]);
/** Packages that hold nothing but declarations, and Node itself, which comes from elsewhere. */
const NEEDLESS_PACKAGE = /^(@types\/.+|undici-types|node-linux-.+)$/;

export interface PackageFile {
  /** As in package.json: "@scope/name". */
  packageName: string;
  /** Path in the package, with "/". */
  path: string;
}

/** "node_modules/a/node_modules/@b/c/lib/d.js" is file lib/d.js of @b/c; undefined for what is in no package. */
export function packageFile(path: string): PackageFile | undefined {
  const match = /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/@.][^/]*)\/(.+)$/.exec(path);
  return match === null ? undefined : { packageName: match[1]!, path: match[2]! };
}

/** Whether the program runs without it. */
export function isNeedless({ packageName, path }: PackageFile): boolean {
  if (NEEDLESS_PACKAGE.test(packageName)) return true;
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (LICENCE.test(name)) return false;
  const top = path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
  return NEEDLESS_FOLDERS.has(top) || NEEDLESS_FILE.test(name);
}
