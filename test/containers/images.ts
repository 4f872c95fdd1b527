// The images under test, built as `npm run image -- --home-made-base --nats` builds them; quick when nothing has changed.
//
// Fails: the build fails -> an error with its last words.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const BUILD = fileURLToPath(new URL('../../deploy/image/build.ts', import.meta.url));

export interface Images {
  postrider: string;
  nats: string;
}

export async function buildImages(): Promise<Images> {
  const { stdout } = await promisify(execFile)(process.execPath, [BUILD, '--home-made-base', '--nats']);
  const [postrider, nats] = stdout.trim().split('\n');
  return { postrider: postrider!, nats: nats! };
}
