import { describe, expect, test } from '@jest/globals';
import { type Facts, LATE_MS, lackOf } from './audit.ts';
import { type Custody, newCustody } from './custody.ts';
import { type MessagePhase, messageFromPack, type RecipientPhase } from './message.ts';
import { YOUNG_MS } from './message-reviews.ts';

const NOW_MS = 1_000_000;
const PLACE = { offset: 0, length: 1 };
const ENTRY = { queueId: 'q', ...PLACE, acceptedAtMs: 0, domains: [], size: 1, trace: undefined };

/** One that is not young any more. */
function mail(phase: MessagePhase, ...recipients: RecipientPhase[]): Custody {
  const domains = recipients.map((_, i) => `${i}.example`);
  const ref = { stream: 'SPOOL_0', sequence: 1, ...PLACE };
  const message = messageFromPack({ ...ENTRY, nullReversePath: false }, ref, domains);
  message.phase = phase;
  message.hasStayed = true;
  for (const [i, one] of recipients.entries()) message.recipients[i]!.phase = one;
  return newCustody(message, { sequence: 1, entry: 0 }, 0);
}

const NONE = new Set<number>();
const facts = (known: Partial<Facts> = {}): Facts => ({
  nowMs: NOW_MS,
  wakeAtMs: NOW_MS + 1,
  isUnheard: false,
  hasReport: false,
  isRouteAwaited: () => false,
  atDesk: NONE,
  out: NONE,
  ...known,
});

describe('A mail is looked after', () => {
  test.each<[string, Custody, Partial<Facts>]>([
    ['with a wake-up to come', mail('resting', 'waiting'), {}],
    ['with one that is only slow', mail('resting', 'waiting'), { wakeAtMs: NOW_MS - LATE_MS }],
    ['held until somebody decides', mail('resting', 'held', 'done'), {}],
    [
      'while a silent worker may have it',
      mail('resting', 'waiting'),
      { isUnheard: true, wakeAtMs: undefined },
    ],
    ['while its envelope is read', mail('resting'), { wakeAtMs: undefined }],
    ['when it is settled', mail('settled', 'done'), { wakeAtMs: undefined }],
    ['while its report is stored', mail('reporting', 'failed'), { hasReport: true, wakeAtMs: undefined }],
    ['at the desk', mail('active', 'ready'), { atDesk: new Set([0]) }],
    ['with a worker', mail('active', 'attempting', 'done'), { out: new Set([0]) }],
    [
      'by one answer for all of its domains',
      mail('active', 'routing', 'routing'),
      { isRouteAwaited: (domain) => domain === '1.example' },
    ],
    [
      'by each of them in its way',
      mail('active', 'ready', 'attempting', 'waiting', 'held', 'done'),
      { atDesk: new Set([0]), out: new Set([1]) },
    ],
  ])('%s', (_, custody, known) => {
    expect(lackOf(custody, facts(known))).toBeUndefined();
  });

  test('as long as it is still to be told that it stays, without a wake-up', () => {
    const custody = mail('active', 'attempting');
    custody.message.hasStayed = false;
    const known = { out: new Set([0]), wakeAtMs: undefined };
    const toldByMs = YOUNG_MS + LATE_MS;
    expect(lackOf(custody, facts({ ...known, nowMs: toldByMs }))).toBeUndefined();
    expect(lackOf(custody, facts({ ...known, nowMs: toldByMs + 1 }))).toEqual({ kind: 'stays' });
  });
});

describe('A mail is forgotten', () => {
  test.each<[string, Custody, Partial<Facts>, unknown]>([
    ['that nothing wakes', mail('resting', 'waiting'), { wakeAtMs: undefined }, { kind: 'wake-up' }],
    [
      'that was not woken',
      mail('resting', 'waiting'),
      { wakeAtMs: NOW_MS - LATE_MS - 1 },
      { kind: 'wake-up' },
    ],
    ['whose hold never ends', mail('resting', 'held'), { wakeAtMs: undefined }, { kind: 'wake-up' }],
    [
      'that is out and has no review',
      mail('active', 'attempting'),
      { out: new Set([0]), wakeAtMs: undefined },
      { kind: 'wake-up' },
    ],
    ['whose report nobody stores', mail('reporting', 'failed'), {}, { kind: 'report' }],
    [
      'that the desk does not have',
      mail('active', 'ready', 'ready'),
      { atDesk: new Set([0]) },
      { kind: 'work', positions: [1] },
    ],
    [
      'that no attempt is for',
      mail('active', 'attempting', 'attempting'),
      { out: new Set([1]) },
      { kind: 'attempt', positions: [0] },
    ],
    ['whose route nobody asks for', mail('active', 'done', 'routing'), {}, { kind: 'route', positions: [1] }],
  ])('%s', (_, custody, known, lack) => {
    expect(lackOf(custody, facts(known))).toEqual(lack);
  });
});
