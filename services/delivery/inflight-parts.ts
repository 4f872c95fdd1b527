// What a worker answers to an owner that asks what is in flight: in parts that a message has room for. Pure.
import type { InflightAnswer, InflightAttempt, Outcome } from '#proto/postrider/v1/job.ts';
import { outcomeOctets } from './outcome-octets.ts';

/** An attempt without its ids, site and positions: at most. */
const ATTEMPT_OCTETS = 16;
const POSITION_OCTETS = 3;

export interface Inflight {
  worker: string;
  running: readonly InflightAttempt[];
  /** Each fits in a message. */
  unacknowledged: readonly Outcome[];
}

/** At least one part, in order; each has at most `octetsMax` octets, or one thing that is larger by itself. */
export function partsOf({ worker, running, unacknowledged }: Inflight, octetsMax: number): InflightAnswer[] {
  const parts: InflightAnswer[] = [];
  let octets = 0;
  const partFor = (more: number): InflightAnswer => {
    let part = parts.at(-1);
    if (part === undefined || (octets > 0 && octets + more > octetsMax)) {
      part = { worker, running: [], unacknowledged: [], part: parts.length, parts: 0 };
      parts.push(part);
      octets = 0;
    }
    octets += more;
    return part;
  };
  partFor(0);
  for (const attempt of running) partFor(attemptOctets(attempt)).running.push(attempt);
  for (const outcome of unacknowledged) partFor(outcomeOctets(outcome)).unacknowledged.push(outcome);
  if (parts.length > 1) for (const part of parts) part.parts = parts.length;
  return parts;
}

function attemptOctets({ attemptId, queueId, siteKey, recipients }: InflightAttempt): number {
  const ids = attemptId.length + queueId.length + siteKey.length;
  return ATTEMPT_OCTETS + ids + POSITION_OCTETS * recipients.length;
}
