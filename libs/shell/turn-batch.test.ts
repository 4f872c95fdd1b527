import { describe, expect, test } from '@jest/globals';
import { TurnBatch } from './turn-batch.ts';

const nextTurn = () => new Promise((done) => setImmediate(done));

describe('A turn batch', () => {
  test('flushes once a turn, in order', async () => {
    const flushed: number[][] = [];
    const batch = new TurnBatch<number>((items) => flushed.push(items));
    batch.add(1);
    batch.add(2);
    expect(flushed).toEqual([]);
    await nextTurn();
    batch.add(3);
    await nextTurn();
    expect(flushed).toEqual([[1, 2], [3]]);
  });

  test('takes what is added while it flushes into the next turn', async () => {
    const flushed: number[][] = [];
    const batch = new TurnBatch<number>((items) => {
      flushed.push(items);
      if (items[0] === 1) batch.add(2);
    });
    batch.add(1);
    batch.flushNow();
    expect(flushed).toEqual([[1]]);
    await nextTurn();
    await nextTurn();
    expect(flushed).toEqual([[1], [2]]);
  });
});
