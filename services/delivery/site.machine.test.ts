import { describe, expect, test } from '@jest/globals';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import {
  newSite,
  ROOM_FOR_ALL,
  receive,
  type SiteEffect,
  type SiteInput,
  type SitePolicy,
  type SiteRoom,
  type SiteState,
} from './site.machine.ts';
import { isForgettable, openCount, standing, statusOf, waitingCount, wanted } from './site-standing.ts';

interface Job {
  name: string;
  startByMs: number;
}

const POLICY: SitePolicy = {
  connectionsMax: 2,
  connectionMailsMax: 0,
  connectionIdleMaxMs: 5000,
  backoffMinMs: 10_000,
  backoffMaxMs: 60_000,
};
const REFUSED: Reply = { code: 0, enhanced: '4.4.1', text: 'connection refused', host: 'mx' };

function job(name: string, startByMs = 300_000): Job {
  return { name, startByMs };
}

/** A site that is fed facts; each call returns the effects in short words. */
function siteOf(policy: Partial<SitePolicy> = {}) {
  const whole = { ...POLICY, ...policy };
  const state: SiteState<Job> = newSite(whole);
  const feed = (input: SiteInput<Job>, room: Partial<SiteRoom> = {}) =>
    receive(state, input, whole, { ...ROOM_FOR_ALL, ...room }).map(inWords);
  return {
    state,
    feed,
    arrived: (nowMs: number, ...names: string[]) =>
      feed({ kind: 'arrived', jobs: names.map((n) => job(n)), nowMs }),
    ready: (connection: number, nowMs = 0) => feed({ kind: 'ready', connection, nowMs }),
    finished: (connection: number, connectionIs: 'reusable' | 'spent' = 'reusable', nowMs = 0) =>
      feed({ kind: 'finished', connection, connectionIs, nowMs }),
    closed: (connection: number, nowMs = 0) => feed({ kind: 'closed', connection, nowMs }),
    down: (connection: number, nowMs = 0) =>
      feed({ kind: 'down', connection, reason: REFUSED, jitter: 0.5, nowMs }),
    swept: (nowMs: number) => feed({ kind: 'swept', nowMs }),
    standing: () => standing(state, whole),
  };
}

function inWords(effect: SiteEffect<Job>): string {
  switch (effect.kind) {
    case 'carry':
      return `carry ${effect.job.name} by ${effect.connection}`;
    case 'giveBack':
      return `give back ${effect.jobs.map((one) => one.name).join(' ')}: ${effect.cause}`;
    case 'tell':
      return 'tell';
    default:
      return `${effect.kind} ${effect.connection}`;
  }
}

describe('a job that its owner cancels', () => {
  test('goes back when it waits, and goes on when it is carried', () => {
    const site = siteOf({ connectionsMax: 1 });
    const [a, b, c] = [job('a'), job('b'), job('c')];
    site.feed({ kind: 'arrived', jobs: [a, b, c], nowMs: 0 });
    site.ready(1);
    expect(site.feed({ kind: 'cancelled', job: a })).toEqual([]);
    expect(site.feed({ kind: 'cancelled', job: b })).toEqual(['give back b: cancelled']);
    expect(site.feed({ kind: 'cancelled', job: b })).toEqual([]);
    expect(site.finished(1)).toEqual(['carry c by 1']);
  });
});

describe('an open site', () => {
  test('opens a connection per waiting job up to its limit, and carries jobs in their order (S1, S3)', () => {
    const site = siteOf();
    expect(site.arrived(0, 'a')).toEqual(['open 1']);
    expect(site.arrived(0, 'b', 'c')).toEqual(['open 2']);
    expect(site.ready(2)).toEqual(['carry a by 2']);
    expect(site.ready(1)).toEqual(['carry b by 1']);
    expect(site.finished(1)).toEqual(['carry c by 1']);
    expect(waitingCount(site.state)).toBe(0);
  });

  test('uses the connection that was used last before it opens another', () => {
    const site = siteOf();
    site.arrived(0, 'a', 'b');
    site.ready(1);
    site.ready(2);
    site.finished(1, 'reusable', 10);
    site.finished(2, 'reusable', 20);
    expect(site.arrived(30, 'c')).toEqual(['carry c by 2']);
  });

  test('closes connections that were idle for long, and only those', () => {
    const site = siteOf();
    site.arrived(0, 'a', 'b');
    site.ready(1);
    site.ready(2);
    site.finished(1, 'reusable', 1000);
    site.finished(2, 'reusable', 3000);
    expect(site.swept(6000)).toEqual(['close 1']);
    expect(site.swept(9000)).toEqual(['close 2']);
    expect(isForgettable(site.state, 9000)).toBe(false);
    site.feed({ kind: 'left', nowMs: 9000 });
    site.feed({ kind: 'left', nowMs: 9000 });
    expect(isForgettable(site.state, 9000)).toBe(true);
  });

  test('closes a connection after its number of mails and opens the next', () => {
    const site = siteOf({ connectionMailsMax: 1, connectionsMax: 1 });
    site.arrived(0, 'a', 'b');
    site.ready(1);
    expect(site.finished(1)).toEqual(['close 1']);
    expect(site.feed({ kind: 'left', nowMs: 0 })).toEqual(['open 2']);
  });

  test('opens another connection for a job when one is spent or closed', () => {
    const site = siteOf({ connectionsMax: 1 });
    site.arrived(0, 'a', 'b', 'c');
    site.ready(1);
    expect(site.finished(1, 'spent')).toEqual(['open 2']);
    site.ready(2);
    expect(site.closed(2)).toEqual(['open 3']);
    site.ready(3);
    site.finished(3);
    expect(site.closed(3)).toEqual([]);
    expect(site.state.idle).toEqual([]);
  });

  test('puts a job back in its place when the connection was stale', () => {
    const site = siteOf({ connectionsMax: 1 });
    site.arrived(0, 'a', 'b', 'c');
    site.ready(1);
    site.finished(1);
    expect(site.feed({ kind: 'stale', connection: 1, job: job('b'), nowMs: 0 })).toEqual(['open 2']);
    expect(site.ready(2)).toEqual(['carry b by 2']);
    expect(site.finished(2)).toEqual(['carry c by 2']);
  });

  test('gives back a job that could not start in time (S3)', () => {
    const site = siteOf({ connectionsMax: 1 });
    site.feed({ kind: 'arrived', jobs: [job('a'), job('b', 500), job('c')], nowMs: 0 });
    site.ready(1);
    expect(site.swept(501)).toEqual(['give back b: late']);
    expect(site.finished(1)).toEqual(['carry c by 1']);
  });

  test('says a window of four jobs per connection within 64 to 1024', () => {
    const windows = [2, 20, 5000].map((connectionsMax) => siteOf({ connectionsMax }).standing().window);
    expect(windows).toEqual([64, 80, 1024]);
  });

  test('drained, gives back what waits, closes all but the busy, and can be used again', () => {
    const site = siteOf({ connectionsMax: 3 });
    site.arrived(0, 'a', 'b', 'c', 'd');
    site.ready(1);
    site.ready(2);
    site.finished(1, 'reusable');
    expect(site.feed({ kind: 'drained' })).toEqual(['give back d: handed over', 'close 3']);
    site.finished(2);
    expect(site.feed({ kind: 'drained' })).toEqual(['close 2']);
    expect(site.finished(1)).toEqual([]);
    expect(site.feed({ kind: 'drained' })).toEqual(['close 1']);
    expect(site.ready(3)).toEqual([]);
    expect(site.feed({ kind: 'stale', connection: 3, job: job('z'), nowMs: 0 })).toEqual([
      'give back z: handed over',
    ]);
    expect(site.arrived(0, 'e')).toEqual([]);
    expect(openCount(site.state)).toBe(3);
    expect(site.feed({ kind: 'left', nowMs: 0 })).toEqual(['open 4']);
  });
});

describe('a site of a worker that has little room for connections', () => {
  test('opens no more than there is room for, and goes on when there is some', () => {
    const site = siteOf();
    const arrived = { kind: 'arrived', jobs: [job('a'), job('b')], nowMs: 0 } as const;
    expect(site.feed(arrived, { connections: 0 })).toEqual([]);
    expect(wanted(site.state)).toBe(2);
    expect(site.feed({ kind: 'roomy', nowMs: 0 }, { connections: 1 })).toEqual(['open 1']);
    expect(site.feed({ kind: 'roomy', nowMs: 0 })).toEqual(['open 2']);
    expect(wanted(site.state)).toBe(0);
  });

  test('closes a connection that had its turn while others stand in line (S7)', () => {
    const site = siteOf({ connectionsMax: 1 });
    site.arrived(0, ...'abcdefghijkl');
    site.ready(1);
    for (let mail = 1; mail < 10; mail++) {
      const finished = { kind: 'finished', connection: 1, connectionIs: 'reusable', nowMs: 0 } as const;
      expect(site.feed(finished, { crowded: true })).toHaveLength(1);
    }
    const tenth = { kind: 'finished', connection: 1, connectionIs: 'reusable', nowMs: 0 } as const;
    expect(site.feed(tenth, { crowded: true, connections: 0 })).toEqual(['close 1']);
    expect(site.feed({ kind: 'left', nowMs: 0 }, { connections: 0 })).toEqual([]);
    expect(site.feed({ kind: 'roomy', nowMs: 0 }, { connections: 1 })).toEqual(['open 2']);
  });

  test('gives up the longest idle connection when it is asked, or one that is being opened, or none', () => {
    const site = siteOf({ connectionsMax: 3 });
    site.arrived(0, 'a', 'b', 'c');
    site.ready(1);
    site.ready(2);
    expect(site.feed({ kind: 'asked' })).toEqual(['close 3']);
    site.finished(1, 'reusable', 5);
    site.finished(2, 'reusable', 10);
    site.finished(1, 'reusable', 20);
    expect(site.feed({ kind: 'asked' })).toEqual(['close 2']);
    expect(site.feed({ kind: 'asked' })).toEqual(['close 1']);
    expect(site.feed({ kind: 'asked' })).toEqual([]);
    expect(openCount(site.state)).toBe(3);
  });

  test('asks its owners for one job per connection when the worker is full', () => {
    const { state } = siteOf();
    const windows = [2, 20, 5000].map(
      (connectionsMax) => standing(state, { connectionsMax }, 'is full').window,
    );
    expect(windows).toEqual([2, 20, 1024]);
  });
});

describe('what owners are told of a site', () => {
  const at = (nowMs: number) => ({ nowMs, toWall: (atMs: number) => atMs - 400_000 });

  test('is for how long it is suspended, not only until when by our clock', () => {
    const site = siteOf();
    site.arrived(100_000, 'a');
    site.down(1, 1_000_000);
    expect(statusOf('s', site.standing(), at(1_004_000))).toEqual({
      siteKey: 's',
      window: 0,
      suspendedForMs: 6000,
      suspendedUntilMs: 610_000,
      reason: REFUSED,
    });
  });

  test('is never that it is open while it waits for its probe', () => {
    const site = siteOf();
    site.arrived(0, 'a');
    site.down(1, 0);
    expect(statusOf('s', site.standing(), at(1_000_000))).toMatchObject({ window: 0, suspendedForMs: 1 });
  });

  test('is that it is open when it is', () => {
    const open = { window: 64, suspendedForMs: 0, suspendedUntilMs: 0, reason: undefined };
    expect(statusOf('s', siteOf().standing(), at(5))).toEqual({ siteKey: 's', ...open });
  });
});

describe('a site whose host is down', () => {
  test('gives all jobs back, tells until when, and doubles its patience (S5)', () => {
    const site = siteOf({ connectionsMax: 1 });
    site.arrived(0, 'a', 'b');
    expect(site.down(1, 100)).toEqual(['tell', 'give back a b: suspended']);
    expect(site.standing()).toEqual({ window: 0, suspendedUntilMs: 10_100, reason: REFUSED });
    expect(isForgettable(site.state, 20_000)).toBe(false);
    expect(isForgettable(site.state, 22_101)).toBe(true);
    site.arrived(10_100, 'a');
    site.down(2, 10_200);
    expect(site.standing().suspendedUntilMs).toBe(30_200);
    site.arrived(30_200, 'a');
    site.down(3, 30_200);
    site.arrived(70_200, 'a');
    expect(site.down(4, 70_200)).toEqual(['tell', 'give back a: suspended']);
    expect(site.standing().suspendedUntilMs).toBe(130_200);
  });

  test('refuses what was on its way, but probes for who asks later', () => {
    const site = siteOf();
    site.arrived(0, 'a');
    site.down(1, 0);
    expect(site.arrived(1999, 'b')).toEqual(['give back b: suspended']);
    expect(site.arrived(2000, 'c', 'd')).toEqual(['open 2']);
    expect(site.arrived(2001, 'e')).toEqual([]);
  });

  test('is open again, for all, when a probe was answered', () => {
    const site = siteOf();
    site.arrived(0, 'a');
    site.down(1, 0);
    site.arrived(10_000, 'a', 'b');
    expect(site.ready(2)).toEqual(['carry a by 2']);
    expect(site.finished(2)).toEqual(['tell', 'carry b by 2']);
    expect(site.standing()).toEqual({ window: 64, suspendedUntilMs: 0, reason: undefined });
  });

  test('stays on probation when the probe was cut off', () => {
    const site = siteOf();
    site.arrived(0, 'a');
    site.down(1, 0);
    site.arrived(10_000, 'a', 'b');
    site.ready(2);
    expect(site.closed(2)).toEqual(['open 3']);
    expect(site.state.phase.name).toBe('probing');
    expect(site.down(3, 10_000)).toEqual(['tell', 'give back b: suspended']);
    expect(site.standing().suspendedUntilMs).toBe(30_000);
  });

  test('is not down while another connection lives: it gets fewer of them for a while (S4)', () => {
    const site = siteOf({ connectionsMax: 3 });
    site.arrived(0, 'a', 'b', 'c', 'd');
    site.ready(1);
    expect(site.down(2, 0)).toEqual([]);
    expect(site.down(3, 0)).toEqual([]);
    expect(site.finished(1)).toEqual(['carry b by 1']);
    expect(site.swept(9_999)).toEqual([]);
    expect(site.swept(10_000)).toEqual(['open 4', 'open 5']);
    site.ready(4);
    site.finished(4);
    expect(site.finished(4)).toEqual([]);
    expect(site.down(1, 10_000)).toEqual([]);
  });

  test('gives nothing back when nothing waits', () => {
    const site = siteOf();
    site.arrived(0, 'a');
    site.ready(1);
    expect(site.down(1)).toEqual(['tell']);
  });
});
