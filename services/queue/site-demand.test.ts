import { describe, expect, test } from '@jest/globals';
import { type Site, Transport } from '#proto/postrider/v1/route.ts';
import { demandOf } from './site-demand.ts';
import { newSiteWindow, receive, type SiteWindow, take } from './site-window.machine.ts';

const SITE: Site = { key: 'smtp:mx:25', transport: Transport.SMTP, hosts: [], maildir: '' };
const LIMIT = { nowMs: 1000, connectionsMax: 20 };

function siteWith(count: number): SiteWindow<number> {
  const state = newSiteWindow<number>(SITE);
  for (let item = 0; item < count; item++) receive(state, { kind: 'enqueued', item, site: SITE });
  return state;
}

function told(state: SiteWindow<number>, window: number, untilMs = 0): void {
  receive(state, {
    kind: 'status',
    window,
    suspendedForMs: Math.max(0, untilMs - LIMIT.nowMs),
    reason: undefined,
    nowMs: LIMIT.nowMs,
  });
}

describe('The demand of a site', () => {
  test('with 100,000 due at a limit of 20 is 20', () => {
    const state = siteWith(100_000);
    expect(demandOf(state, LIMIT)).toEqual({ due: 100_000, unthrottled: 20 });
    take(state, LIMIT.nowMs, 64);
    expect(demandOf(state, LIMIT)).toEqual({ due: 100_000, unthrottled: 20 });
  });

  test('is all that is due where that is little, out with workers or not', () => {
    const state = siteWith(5);
    take(state, LIMIT.nowMs, 3);
    expect(demandOf(state, LIMIT)).toEqual({ due: 5, unthrottled: 5 });
    receive(state, { kind: 'finished', answered: true });
    receive(state, { kind: 'returned', item: 9, site: SITE });
    expect(demandOf(state, LIMIT)).toEqual({ due: 5, unthrottled: 5 });
  });

  test('is nothing while the site is suspended, and one job while it is probed', () => {
    const state = siteWith(500);
    told(state, 0, 9000);
    expect(demandOf(state, LIMIT)).toEqual({ due: 500, unthrottled: 0 });
    expect(demandOf(state, { ...LIMIT, nowMs: 9000 })).toEqual({ due: 500, unthrottled: 1 });
    receive(state, { kind: 'flushed' });
    expect(demandOf(state, LIMIT)).toEqual({ due: 500, unthrottled: 1 });
  });

  test('is no more than the window that a worker cut', () => {
    const state = siteWith(500);
    told(state, 3);
    expect(demandOf(state, LIMIT)).toEqual({ due: 500, unthrottled: 3 });
  });

  test('counts our part of the limit, and never less than one job', () => {
    const state = siteWith(500);
    expect(demandOf(state, { ...LIMIT, connectionsMax: 7.5 }).unthrottled).toBe(7.5);
    expect(demandOf(state, { ...LIMIT, connectionsMax: 0.25 }).unthrottled).toBe(1);
    expect(demandOf(siteWith(0), LIMIT)).toEqual({ due: 0, unthrottled: 0 });
  });
});
