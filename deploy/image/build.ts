// `npm run image`: builds the images and prints their names, one a line.
//
//   postrider:<version of package.json>       deploy/Dockerfile
//   postrider-nats:<version of nats-server>   deploy/image/nats/Dockerfile, only with --nats
//
// --home-made-base makes the base of the first one here instead of pulling it.
//
// Fails: says which program could not do its part, exit 1.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runTool } from '../local/run-tool.mjs';
import { homeMadeBase } from './build-base.ts';
import { buildNatsImage } from './build-nats.ts';
import { docker } from './docker.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const say = (line: string) => console.error(`image: ${line}`);

async function revision(): Promise<string> {
  const said = await runTool('git', ['rev-parse', 'HEAD'], { cwd: ROOT }).catch(() => 'unknown');
  return said.trim();
}

/** Resolves with the image's name. */
async function buildPostriderImage(base: string | undefined): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const name = `postrider:${version}`;
  const values = { VERSION: version, REVISION: await revision(), ...(base && { NODE_IMAGE: base }) };
  const args = Object.entries(values).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
  say(`building ${name} ...`);
  await docker(['build', '--file', join(ROOT, 'deploy/Dockerfile'), '--tag', name, ...args, ROOT]);
  return name;
}

/** What earlier builds left without a name; the newest may be another build's that runs now, and is a cache for the next. */
async function removeLeftovers(): Promise<void> {
  for (const label of ['postrider.image', 'org.opencontainers.image.title=Postrider']) {
    await docker(['image', 'prune', '--force', '--filter', `label=${label}`, '--filter', 'until=1h']);
  }
}

const { values } = parseArgs({
  options: { nats: { type: 'boolean' }, 'home-made-base': { type: 'boolean' } },
});
try {
  const base = values['home-made-base'] ? await homeMadeBase(say) : undefined;
  console.log(await buildPostriderImage(base));
  if (values.nats) console.log(await buildNatsImage(say));
  await removeLeftovers();
} catch (error) {
  say((error as Error).message);
  process.exitCode = 1;
}
