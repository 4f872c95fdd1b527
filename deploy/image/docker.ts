// The command line of Docker, as far as building images needs it.
// Fails: no docker, or it ends with another code than 0 -> an error with its last words.
import { spawn } from 'node:child_process';
import { runTool } from '../local/run-tool.mjs';

/** Standard output. */
export function docker(args: readonly string[]): Promise<string> {
  return runTool('docker', [...args], { timeoutMs: 600_000 });
}

export async function hasImage(name: string): Promise<boolean> {
  return (await docker(['images', '--quiet', name])).trim() !== '';
}

/** An image of one layer: everything in `root`, owned by root; `changes` are lines of a Dockerfile. */
export async function importImage(name: string, root: string, changes: readonly string[]): Promise<void> {
  const tar = spawn(
    'tar',
    ['--create', '--owner=0', '--group=0', '--numeric-owner', '--directory', root, '.'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const args = ['import', ...changes.flatMap((change) => ['--change', change]), '-', name];
  const docker = spawn('docker', args, { stdio: [tar.stdout, 'ignore', 'inherit'] });
  for (const [program, child] of Object.entries({ tar, docker })) {
    await new Promise<void>((resolve, reject) => {
      const ended = (code: number | null) =>
        code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}`));
      if (child.exitCode !== null) ended(child.exitCode);
      else child.once('error', reject).once('exit', ended);
    });
  }
}
