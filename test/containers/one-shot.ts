// A program in a container that runs to its end.
import { engine } from './engine.ts';
import { HardenedContainer, type Mount } from './hardened-container.ts';
import { Ended } from './startup-checks.ts';

export interface Ending {
  exitCode: number;
  /** Standard output and standard error. */
  output: string;
}

export interface OneShot {
  image: string;
  network: string;
  command: readonly string[];
  mounts?: readonly Mount[];
}

/** Rejects when there is no such program. */
export async function runToEnd({ image, network, command, mounts = [] }: OneShot): Promise<Ending> {
  const container = new HardenedContainer(image, { network, aliases: [] });
  const started = await container
    .withCommand([...command])
    .withBindMounts([...mounts])
    .withWaitStrategy(new Ended())
    .start();
  const ended = (await engine()).getContainer(started.getId());
  const { State } = await ended.inspect();
  const output = await ended.logs({ stdout: true, stderr: true });
  await ended.remove({ v: true });
  return { exitCode: State.ExitCode, output: demultiplexed(output) };
}

/** The engine puts 8 octets before each piece; the last four are its length. */
function demultiplexed(pieces: Buffer): string {
  let text = '';
  for (let at = 0; at < pieces.length; ) {
    const end = at + 8 + pieces.readUInt32BE(at + 4);
    text += pieces.toString('utf8', at + 8, end);
    at = end;
  }
  return text;
}
