import { describe, expect, test } from '@jest/globals';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import {
  INITIAL_WINDOW,
  newSiteWindow,
  receive,
  type SiteWindow,
  take,
  waitingCount,
  withdraw,
} from './site-window.machine.ts';

const SITE: Site = { key: 'smtp:mx:25', transport: Transport.SMTP, hosts: [], maildir: '' };
const NO_LIMIT = 1_000_000;
const REASON = { code: 421, enhanced: '', text: 'busy', host: 'mx' };

function windowWith(count: number): SiteWindow<number> {
  const state = newSiteWindow<number>(SITE);
  for (let item = 0; item < count; item++) receive(state, { kind: 'enqueued', item, site: SITE });
  return state;
}

const suspended = (untilMs: number, nowMs: number) =>
  ({ kind: 'status', window: 0, suspendedForMs: untilMs - nowMs, reason: REASON, nowMs }) as const;

describe('the window of a site', () => {
  test('lets no more out than the site takes (W1)', () => {
    const state = windowWith(100);
    expect(take(state, 0, NO_LIMIT)).toHaveLength(INITIAL_WINDOW);
    expect(take(state, 0, NO_LIMIT)).toEqual([]);
    receive(state, { kind: 'finished', answered: true });
    expect(take(state, 0, NO_LIMIT)).toEqual([INITIAL_WINDOW]);
    receive(state, { kind: 'status', window: 70, suspendedForMs: 0, reason: undefined, nowMs: 0 });
    expect(take(state, 0, 2)).toHaveLength(2);
    expect(take(state, 0, NO_LIMIT)).toHaveLength(4);
    expect(waitingCount(state)).toBe(100 - INITIAL_WINDOW - 7);
  });

  test('is never nothing while the site is open', () => {
    const state = windowWith(2);
    receive(state, { kind: 'status', window: 0, suspendedForMs: 0, reason: undefined, nowMs: 0 });
    expect(take(state, 0, NO_LIMIT)).toEqual([0]);
  });

  test('is closed while the site is suspended, then lets one job probe (W2)', () => {
    const state = windowWith(3);
    receive(state, suspended(5000, 1000));
    expect(state.reason).toBe(REASON);
    expect(take(state, 4999, NO_LIMIT)).toEqual([]);
    expect(take(state, 5000, NO_LIMIT)).toEqual([0]);
    expect(take(state, 5000, NO_LIMIT)).toEqual([]);
    receive(state, { kind: 'finished', answered: false });
    expect(take(state, 5000, NO_LIMIT)).toEqual([1]);
    receive(state, { kind: 'finished', answered: true });
    expect(state.phase).toBe('open');
    expect(take(state, 5000, NO_LIMIT)).toEqual([2]);
  });

  test('is opened for one job by an operator', () => {
    const state = windowWith(3);
    receive(state, { kind: 'flushed' });
    expect(state.phase).toBe('open');
    receive(state, suspended(5000, 1000));
    receive(state, { kind: 'flushed' });
    expect(take(state, 1000, NO_LIMIT)).toEqual([0]);
  });

  test('takes what was given back with the next sweep (W3)', () => {
    const state = windowWith(1);
    take(state, 0, NO_LIMIT);
    receive(state, { kind: 'finished', answered: false });
    receive(state, { kind: 'returned', item: 0, site: SITE });
    expect(take(state, 0, NO_LIMIT)).toEqual([]);
    expect(waitingCount(state)).toBe(1);
    receive(state, { kind: 'swept' });
    expect(take(state, 0, NO_LIMIT)).toEqual([0]);
  });

  test('forgets what is not wanted any more', () => {
    const state = windowWith(4);
    receive(state, { kind: 'returned', item: 4, site: SITE });
    expect(take(state, 0, 1)).toEqual([0]);
    withdraw(state, (item) => item % 2 === 0);
    receive(state, { kind: 'swept' });
    expect(take(state, 0, NO_LIMIT)).toEqual([1, 3]);
  });

  test('keeps a long line in order', () => {
    const state = windowWith(10_000);
    const taken: number[] = [];
    while (waitingCount(state) > 0) {
      for (const item of take(state, 0, NO_LIMIT)) {
        taken.push(item);
        receive(state, { kind: 'finished', answered: true });
      }
    }
    expect(taken).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
  });
});
