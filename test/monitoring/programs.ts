// promtool and prometheus as these tests run them; deploy/local finds them.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findPrometheus } from '../../deploy/local/find-prometheus.mjs';

const run = promisify(execFile);
const OUTPUT_OCTETS_MAX = 16 * 1024 * 1024;

export interface Programs {
  prometheus: string;
  promtool: string;
}

let found: Promise<Programs> | undefined;

/** Paths of both programs; looked for once in a process. */
export function findPrograms(): Promise<Programs> {
  found ??= findPrometheus();
  return found;
}

/** Runs promtool; what it said, and whether it was content. */
export async function promtool(...args: string[]): Promise<{ ok: boolean; output: string }> {
  const { promtool: program } = await findPrograms();
  try {
    const { stdout, stderr } = await run(program, args, { maxBuffer: OUTPUT_OCTETS_MAX });
    return { ok: true, output: `${stdout}${stderr}` };
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { ok: false, output: `${stdout}${stderr}` };
  }
}
