// Times, sizes and counts in words for people. Pure.

const UNITS: [string, number][] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
];

/** "2 d 4 h", "3 min", "12 s"; a second unit only beside days and hours. */
export function ageText(ms: number): string {
  const known = Math.max(0, ms);
  const at = UNITS.findIndex(([, unitMs]) => known >= unitMs);
  if (at === -1) return '0 s';
  const [name, unitMs] = UNITS[at]!;
  const whole = Math.floor(known / unitMs);
  const next = UNITS[at + 1];
  if (next === undefined || unitMs < 3_600_000) return `${whole} ${name}`;
  const rest = Math.floor((known % unitMs) / next[1]);
  return rest === 0 ? `${whole} ${name}` : `${whole} ${name} ${rest} ${next[0]}`;
}

/** "in 4 min"; "now" when the time has come. */
export function untilText(ms: number): string {
  return ms < 1000 ? 'now' : `in ${ageText(ms)}`;
}

/** "512 B", "4.1 KiB", "50 MiB". */
export function sizeText(octets: number): string {
  if (octets < 1024) return `${octets} B`;
  const inMiB = octets >= 1024 * 1024;
  const value = octets / (inMiB ? 1024 * 1024 : 1024);
  const digits = value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
  return `${digits} ${inMiB ? 'MiB' : 'KiB'}`;
}

/** "1 mail", "2,000 mails". */
export function countText(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}
