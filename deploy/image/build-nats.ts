// An image of the nats-server that this machine has (or fetches), for where the public one cannot be pulled: the program,
// its shared libraries when it has any, and nothing else.
//
// Fails: no nats-server can be had, or docker cannot build -> an error that says why.
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNatsServer, natsVersionOf } from '../local/find-nats.mjs';
import { runTool } from '../local/run-tool.mjs';
import { docker } from './docker.ts';
import { writeEtc } from './stage/runtime-files.ts';

const DOCKERFILE = fileURLToPath(new URL('./nats/Dockerfile', import.meta.url));

function put(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}

/** Paths of what the dynamic linker loads, itself included; none for a static program. */
async function librariesOf(program: string): Promise<string[]> {
  const said = await runTool('ldd', [program]).catch((error: Error) => {
    if (error.message.includes('not a dynamic executable')) return '';
    throw error;
  });
  return [...said.matchAll(/(?:^|\s)(\/\S+)(?= \(0x)/g)].map((match) => match[1]!);
}

/** Builds postrider-nats:<version of the server>; resolves with that name. */
export async function buildNatsImage(say: (line: string) => void): Promise<string> {
  const { path: program } = await findNatsServer({ log: say });
  const name = `postrider-nats:${natsVersionOf(program)!.join('.')}`;
  const context = mkdtempSync(join(tmpdir(), 'postrider-nats-image-'));
  try {
    const root = join(context, 'root');
    put(program, join(root, 'usr/local/bin/nats-server'));
    for (const library of await librariesOf(program)) put(library, join(root, library));
    writeEtc(root);
    mkdirSync(join(root, 'etc/nats'));
    mkdirSync(join(context, 'data'));
    await docker(['build', '--file', DOCKERFILE, '--tag', name, '--label', 'postrider.image=nats', context]);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
  return name;
}
