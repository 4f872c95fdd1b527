// What a starter that was killed left running: its services stop by themselves when their channel closes; its nats-server
// does not. Both are found by their process id files, and only ended when they still are what those files say.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { commandLineOf, isAlive, readPid, signal, waitForEnd } from './processes.ts';

/** How long services get to stop by themselves. */
const ALONE_MS = 5_000;
const TERM_MS = 10_000;
const KILL_MS = 5_000;

interface Leftover {
  name: string;
  pid: number;
  pidFile: string;
}

/** Processes of this data directory that are alive: their command line names a file in its run directory. */
function findLeftovers(runDir: string): Leftover[] {
  const found: Leftover[] = [];
  for (const file of readdirSync(runDir).filter((name) => name.endsWith('.pid'))) {
    const pidFile = join(runDir, file);
    const pid = readPid(pidFile);
    if (pid !== undefined && isAlive(pid) && commandLineOf(pid).includes(` ${runDir}/`)) {
      found.push({ name: file.slice(0, -'.pid'.length), pid, pidFile });
    } else {
      rmSync(pidFile);
    }
  }
  return found;
}

async function end({ name, pid, pidFile }: Leftover, aloneMs: number, say: (line: string) => void) {
  say(`${name} of a start that was killed is still there (process ${pid}): ending it ...`);
  let isGone = await waitForEnd(pid, aloneMs);
  for (const [name, ms] of [['SIGTERM', TERM_MS] as const, ['SIGKILL', KILL_MS] as const]) {
    if (isGone) break;
    signal(pid, name);
    isGone = await waitForEnd(pid, ms);
  }
  rmSync(pidFile, { force: true });
}

/** Ends what is left: services first, since they still need their nats-server to stop in order. */
export async function endLeftovers(runDir: string, say: (line: string) => void): Promise<void> {
  const found = findLeftovers(runDir);
  const isNats = ({ name }: Leftover) => name === 'nats-server';
  await Promise.all(found.filter((one) => !isNats(one)).map((one) => end(one, ALONE_MS, say)));
  for (const one of found.filter(isNats)) await end(one, 0, say);
}
