// Durations and sizes as an operator writes them ("5 min", "50 MiB"), parsed to milliseconds and octets.
import { z } from 'zod';

const DURATION_MS: Record<string, number> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_OCTETS: Record<string, number> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function parseQuantity(text: string, units: Record<string, number>): number | undefined {
  const match = /^(\d{1,12})\s*([A-Za-z]+)$/.exec(text.trim());
  const factor = match && Object.hasOwn(units, match[2]!) ? units[match[2]!] : undefined;
  return factor === undefined ? undefined : Number(match![1]) * factor;
}

function quantity(what: string, units: Record<string, number>, example: string) {
  // For those who only read the schema: a pattern has no range.
  const pattern = `^\\d{1,12}\\s*(${Object.keys(units).join('|')})$`;
  const written = (min: string, max: string) =>
    z.string().meta({
      pattern,
      description: `A ${what} between ${min} and ${max}, such as "${example}".`,
      between: [min, max],
    });
  return (min: string, max: string) =>
    written(min, max).transform((text, context) => {
      const value = parseQuantity(text, units);
      if (value !== undefined && value >= parseQuantity(min, units)! && value <= parseQuantity(max, units)!) {
        return value;
      }
      const message = `expected a ${what} between ${min} and ${max}, such as "${example}"`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    });
}

/** A duration between `min` and `max`; milliseconds. Units: ms, s, min, h, d. */
export const duration = quantity('duration', DURATION_MS, '5 min');

/** A size between `min` and `max`; octets. Units: B, KiB, MiB, GiB. */
export const size = quantity('size', SIZE_OCTETS, '50 MiB');
