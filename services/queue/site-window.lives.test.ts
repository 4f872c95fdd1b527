import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import {
  newSiteWindow,
  receive,
  type SiteInput,
  type SiteWindow,
  take,
  waitingCount,
} from './site-window.machine.ts';

const SITE: Site = { key: 'smtp:mx:25', transport: Transport.SMTP, hosts: [], maildir: '' };
const MOMENTS = [0, 10, 20];
const NAMES = ['a', 'b', 'c'];

/** A window with its shell: the clock, and where each piece of work is. */
interface Watched {
  window: SiteWindow<string>;
  moment: number;
  work: Record<string, 'waiting' | 'returned' | 'out' | 'over'>;
}

type Event =
  | SiteInput<string>
  | { kind: 'time passes' }
  | { kind: 'taken'; limit: number }
  | { kind: 'over'; name: string; answered: boolean }
  | { kind: 'given back'; name: string };

function possible({ window, moment, work }: Watched): Event[] {
  const nowMs = MOMENTS[moment]!;
  const events: Event[] = [{ kind: 'flushed' }, { kind: 'swept' }];
  if (moment + 1 < MOMENTS.length) events.push({ kind: 'time passes' });
  for (const limit of [1, 3]) events.push({ kind: 'taken', limit });
  const fresh = NAMES.find((name) => work[name] === undefined);
  if (fresh !== undefined) events.push({ kind: 'enqueued', item: fresh, site: SITE });
  for (const name of NAMES) {
    if (work[name] !== 'out') continue;
    events.push({ kind: 'over', name, answered: true }, { kind: 'over', name, answered: false });
    events.push({ kind: 'given back', name });
  }
  // A site that is not suspended says nothing that it did not say before.
  for (const size of [0, 1, 2]) {
    events.push({ kind: 'status', window: size, suspendedForMs: 0, reason: undefined, nowMs });
  }
  const suspendedUntilMs = MOMENTS.find((later) => later > Math.max(nowMs, window.suspendedUntilMs));
  if (suspendedUntilMs !== undefined) {
    const suspendedForMs = suspendedUntilMs - nowMs;
    events.push({ kind: 'status', window: 0, suspendedForMs, reason: undefined, nowMs });
  }
  return events;
}

function happen(watched: Watched, event: Event): string[] {
  const { window, work } = watched;
  switch (event.kind) {
    case 'time passes':
      watched.moment += 1;
      return [];
    case 'taken': {
      const taken = take(window, MOMENTS[watched.moment]!, event.limit);
      for (const name of taken) {
        check(work[name] === 'waiting', 'W3');
        work[name] = 'out';
      }
      return taken;
    }
    case 'over':
      receive(window, { kind: 'finished', answered: event.answered });
      work[event.name] = 'over';
      return [];
    case 'given back':
      receive(window, { kind: 'finished', answered: false });
      receive(window, { kind: 'returned', item: event.name, site: SITE });
      work[event.name] = 'returned';
      return [];
    case 'swept':
      for (const name of window.returned) work[name] = 'waiting';
      receive(window, event);
      return [];
    default:
      receive(window, event);
      if (event.kind === 'enqueued') work[event.item] = 'waiting';
      return [];
  }
}

function check(isKept: boolean, invariant: string): void {
  if (!isKept) throw new Error(`${invariant} is broken`);
}

const countOf = (work: Watched['work'], place: string) => NAMES.filter((name) => work[name] === place).length;

function checkStep(before: Watched, after: Watched, event: Event, taken: string[]): void {
  const { window, work, moment } = after;
  const out = countOf(work, 'out');
  check(window.outstanding === out, 'the count of jobs that are out');
  check(waitingCount(window) === countOf(work, 'waiting') + countOf(work, 'returned'), 'W3');
  check(window.window >= 1, 'a window of nothing');
  if (taken.length === 0) return;
  check(out <= window.window, 'W1');
  if (window.phase === 'probing') check(out === 1, 'W2');
  check(window.phase !== 'suspended', 'W2');
  const wasSuspended = before.window.phase === 'suspended';
  if (wasSuspended) check(MOMENTS[moment]! >= before.window.suspendedUntilMs, 'W2');
  if (event.kind === 'taken') check(taken.length <= event.limit, 'the limit');
  check(taken.join() === before.window.waiting.slice(before.window.head).slice(0, taken.length).join(), 'W3');
}

describe('every life of a window', () => {
  test('keeps its limits and each piece of work in one place', () => {
    const walked = walkLives<Watched, Event, string[]>({
      starts: [{ window: newSiteWindow<string>(SITE), moment: 0, work: {} }],
      inputs: possible,
      receive: (state, event) => ({ effects: happen(state, event), state }),
      key: ({ window, moment, work }) =>
        JSON.stringify([
          window.phase,
          Math.min(window.window, 4),
          window.suspendedUntilMs,
          window.waiting.slice(window.head),
          window.returned,
          moment,
          work,
        ]),
      mustReach: ({ window, work }) => waitingCount(window) === 0 && countOf(work, 'out') === 0,
      check: ({ before, after, input, effects }) => checkStep(before, after, input, effects),
    });
    expect(walked.states.length).toBeGreaterThan(1000);
  });
});
