import { describe, expect, test } from '@jest/globals';
import { type Reading, Streams } from './streams.machine.ts';

const reading = (octets: number, lastSequence = 1): Reading => ({ octets, octetsMax: 1000, lastSequence });

function streamsOf(count: number, changes: { flyingMax?: number; beside?: Streams } = {}): Streams {
  return new Streams({ count, softMark: 0.85, flyingMax: 1, ...changes });
}

/** Sends `records` one after the other; how many each stream got. */
function share(streams: Streams, records: number, octets = 0): number[] {
  const counts = Array.from({ length: streams.count }, () => 0);
  for (let i = 0; i < records; i++) {
    const k = streams.next(0) as number;
    counts[k]!++;
    streams.sent(k, octets);
    streams.landed(k, 'stored', 0);
  }
  return counts;
}

/** Sends a record and tells what became of it. */
function lands(streams: Streams, landing: Parameters<Streams['landed']>[1], nowMs: number): void {
  streams.sent(0, 1);
  streams.landed(0, landing, nowMs);
}

describe('Records', () => {
  test('go to streams that are alike in turn (V1)', () => {
    expect(share(streamsOf(3), 300)).toEqual([100, 100, 100]);
  });

  test('go where room is, and never to none but one (V1)', () => {
    const streams = streamsOf(2);
    streams.measured(0, reading(650), 0);
    streams.measured(1, reading(50), 0);
    expect(share(streams, 100)).toEqual([20, 80]);
    streams.measured(0, reading(849), 0);
    expect(share(streams, 1000)[0]).toBeGreaterThan(5);
  });

  test('wait for a stream that is busy, and take one that is not', () => {
    const streams = streamsOf(2);
    expect([streams.next(0), streams.areBusy]).toEqual([0, false]);
    streams.sent(0, 1);
    expect([streams.next(0), streams.isBusy(0), streams.isBusy(1)]).toEqual([1, true, false]);
    streams.sent(1, 1);
    expect([streams.next(0), streams.areBusy, streams.flying]).toEqual(['busy', true, 2]);
    streams.landed(1, 'stored', 0);
    expect(streams.next(0)).toBe(1);
  });
});

describe('A stream above its mark', () => {
  test('is closed, and open again when there is some more room (V2)', () => {
    const streams = streamsOf(1);
    streams.measured(0, reading(849), 0);
    expect(streams.closed(0, 0)).toBeUndefined();
    streams.measured(0, reading(850), 0);
    expect([streams.closed(0, 0), streams.next(0), streams.standing(0)]).toEqual(['mark', 'closed', 'full']);
    streams.measured(0, reading(821), 0);
    expect(streams.closed(0, 0)).toBe('mark');
    streams.measured(0, reading(819), 0);
    expect([streams.closed(0, 0), streams.standing(0)]).toEqual([undefined, 'open']);
  });

  test('is so by what was sent since the last question, too', () => {
    const streams = streamsOf(1);
    streams.measured(0, reading(0), 0);
    share(streams, 5, 100);
    streams.asked(0);
    share(streams, 1, 300);
    streams.measured(0, reading(500), 0);
    expect([streams.share(0), streams.closed(0, 0)]).toEqual([0.8, undefined]);
    streams.sent(0, 100);
    expect(streams.closed(0, 0)).toBe('mark');
  });

  test('is never there without a limit', () => {
    const streams = streamsOf(1);
    streams.measured(0, { octets: 1e15, octetsMax: -1, lastSequence: 1 }, 0);
    expect([streams.share(0), streams.closed(0, 0)]).toEqual([0, undefined]);
  });

  test('leaves little to the SPOOL stream whose mail would move there, and all when there is no other (V4)', () => {
    const store = streamsOf(2);
    const spool = streamsOf(2, { beside: store });
    store.measured(1, reading(900), 0);
    const turns = Array.from({ length: 200 }, () => spool.next(0));
    expect(turns.filter((k) => k === 1).length).toBeLessThanOrEqual(4);
    spool.sent(0, 1);
    expect(spool.next(0)).toBe(1);
    store.sent(0, 1);
    store.landed(0, 'full', 0);
    expect([spool.standing(0), spool.closed(0, 0), spool.closed(1, 0)]).toEqual([
      'open',
      undefined,
      undefined,
    ]);
    spool.measured(1, reading(900), 0);
    expect([spool.standing(0), spool.closed(1, 0)]).toEqual(['open', 'mark']);
  });
});

describe('A stream that stores nothing', () => {
  test.each(['full', 'refused', 'silent'] as const)('(%s) is out for a pause that grows', (landing) => {
    const streams = streamsOf(1);
    const pauses: number[] = [];
    for (let nowMs = 0, i = 0; i < 7; i++) {
      lands(streams, landing, nowMs);
      expect([streams.closed(0, nowMs), streams.outFor(0)]).toEqual([landing, landing]);
      let pauseMs = 1000;
      while (streams.closed(0, nowMs + pauseMs) !== undefined) pauseMs += 1000;
      pauses.push(pauseMs);
      nowMs += pauseMs;
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(streams.standing(0)).toBe(landing === 'full' ? 'full' : 'stuck');
  });

  test('gets one record when its pause is over (V3), and all when that is stored', () => {
    const streams = streamsOf(1, { flyingMax: 4 });
    lands(streams, 'full', 0);
    expect(streams.next(1000)).toBe(0);
    streams.sent(0, 1);
    expect([streams.closed(0, 1000), streams.next(1000)]).toEqual(['full', 'closed']);
    streams.landed(0, 'unknown', 1000);
    expect(streams.next(1000)).toBe(0);
    streams.sent(0, 1);
    streams.landed(0, 'stored', 1000);
    streams.sent(0, 1);
    expect([streams.closed(0, 1000), streams.outFor(0), streams.next(1000)]).toEqual([
      undefined,
      undefined,
      0,
    ]);
  });

  test('is out once for all that failed together', () => {
    const streams = streamsOf(1, { flyingMax: 4 });
    for (let i = 0; i < 4; i++) streams.sent(0, 1);
    for (let i = 0; i < 3; i++) streams.landed(0, 'full', i);
    streams.landed(0, 'silent', 3);
    expect([streams.closed(0, 999), streams.closed(0, 1000)]).toEqual(['silent', undefined]);
  });

  test('for want of room is tried as soon as somebody makes some', () => {
    const streams = streamsOf(1);
    streams.measured(0, reading(800), 0);
    lands(streams, 'full', 0);
    streams.measured(0, reading(800), 100);
    expect(streams.closed(0, 100)).toBe('full');
    streams.measured(0, reading(400), 200);
    expect(streams.closed(0, 200)).toBeUndefined();
  });

  test('is found while JetStream answers for it and a record is on its way (V5)', () => {
    const streams = streamsOf(1);
    const look = (times: number, sequence: number) => {
      for (let i = 0; i < times; i++) streams.measured(0, reading(1, sequence), 0);
    };
    look(10, 7);
    streams.sent(0, 1);
    look(4, 7);
    look(1, 8);
    look(4, 8);
    expect(streams.closed(0, 0)).toBeUndefined();
    streams.unmeasured(0);
    look(4, 8);
    expect(streams.closed(0, 0)).toBeUndefined();
    look(1, 8);
    expect([streams.closed(0, 0), streams.standing(0)]).toEqual(['silent', 'stuck']);
    streams.landed(0, 'unknown', 0);
    streams.reconnected(0);
    expect(streams.next(0)).toBe(0);
  });

  test('stays out, when it is full, with another server', () => {
    const streams = streamsOf(1);
    lands(streams, 'full', 0);
    streams.reconnected(0);
    expect(streams.closed(0, 0)).toBe('full');
  });
});
