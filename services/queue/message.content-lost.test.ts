import { describe, expect, test } from '@jest/globals';
import { attempted, GONE, life, newMessage, OK, SITE, toSite } from '#kit/message-life.ts';

describe('a message', () => {
  test('whose data is gone fails, and its sender is told', () => {
    const { message, feed } = attempted();
    feed({ kind: 'returned', nowMs: 0, positions: [0], site: SITE });
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'damaged' })).toEqual([
      { kind: 'report', report: 'failure', positions: [0] },
    ]);
    expect(message.recipients[0]!.lastReply).toMatchObject({ code: 554, enhanced: '5.3.0' });
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'damaged' })).toEqual([]);
    expect(feed({ kind: 'reported', nowMs: 0 })).toEqual([{ kind: 'settle' }]);
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'gone' })).toEqual([]);
  });

  test('of which nothing is left is settled, also while it is being reported; what was delivered stays so', () => {
    const message = newMessage(['a.example', 'b.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    feed({ kind: 'routed', nowMs: 0, routes: toSite(SITE, 'a.example', 'b.example') });
    feed({ kind: 'dispatched', positions: [0] });
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'gone' })).toEqual([]);
    feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'relayed', reply: OK }] });
    expect(feed({ kind: 'contentLost', nowMs: 0, content: 'gone' })).toEqual([{ kind: 'settle' }]);
    expect(message.recipients.map(({ fate, phase }) => [fate, phase])).toEqual([
      ['relayed', 'done'],
      ['failed', 'done'],
    ]);
    const failed = attempted();
    failed.feed({ kind: 'outcome', nowMs: 0, results: [{ position: 0, result: 'failed', reply: GONE }] });
    expect(failed.feed({ kind: 'contentLost', nowMs: 0, content: 'gone' })).toEqual([{ kind: 'settle' }]);
  });

  test('that stepped back hears no more of its routes', () => {
    const message = newMessage(['a.example']);
    const feed = life(message);
    feed({ kind: 'due', nowMs: 0 });
    expect(feed({ kind: 'due', nowMs: 1_000_000 })).toMatchObject([{ kind: 'report', report: 'delay' }]);
    expect(feed({ kind: 'routed', nowMs: 1_000_000, routes: toSite(SITE, 'a.example') })).toEqual([]);
  });
});
