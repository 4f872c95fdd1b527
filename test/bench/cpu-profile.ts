// Reads a .cpuprofile as Node's --cpu-prof writes it: which functions used the processor themselves.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

export interface SelfTime {
  where: string;
  /** Of the time in which the process was not idle. */
  share: number;
}

const IDLE = '(idle)';

/** The functions with the most self time, most first. */
export function topSelfTimes(profile: CpuProfile, count: number): SelfTime[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const file = url.replace(/^.*\/(?=(libs|services|node_modules|proto)\/)/, '');
      return [id, file === '' ? functionName : `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`];
    }),
  );
  const times = new Map<string, number>();
  let busy = 0;
  profile.samples.forEach((id, i) => {
    const name = names.get(id) ?? '?';
    const delta = profile.timeDeltas[i] ?? 0;
    if (name === IDLE) return;
    busy += delta;
    times.set(name, (times.get(name) ?? 0) + delta);
  });
  return [...times]
    .sort((a, b) => b[1] - a[1])
    .slice(0, count)
    .map(([where, time]) => ({ where, share: time / busy }));
}

/** The only profile in a folder, as lines of text. */
export function profileReport(folder: string, count = 40): string {
  const files = readdirSync(folder).filter((file) => file.endsWith('.cpuprofile'));
  return files
    .map((file) => {
      const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile;
      const lines = topSelfTimes(profile, count).map(
        ({ where, share }) => `${(share * 100).toFixed(1).padStart(6)} %  ${where}`,
      );
      return [join(folder, file), ...lines].join('\n');
    })
    .join('\n');
}
