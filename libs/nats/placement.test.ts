import { describe, expect, test } from '@jest/globals';
import { bitmapOf, holdsBit } from './bitmap.ts';
import { ownerOf, shardOf } from './placement.ts';

const keys = Array.from({ length: 1000 }, (_, i) => `partition ${i}`);
const four = ['queue-a', 'queue-b', 'queue-c', 'queue-d'];

describe('Placement', () => {
  test('names nobody when nobody lives', () => {
    expect(ownerOf('x', [])).toBeUndefined();
  });

  test('does not depend on the order in which instances are known', () => {
    for (const key of keys) expect(ownerOf(key, four.toReversed())).toBe(ownerOf(key, four));
  });

  test('gives every instance its share', () => {
    for (const instance of four) {
      const share = keys.filter((key) => ownerOf(key, four) === instance).length;
      expect(share).toBeGreaterThan(180);
      expect(share).toBeLessThan(320);
    }
  });

  test('moves only what the one who left had', () => {
    const three = four.slice(0, 3);
    for (const key of keys) {
      const before = ownerOf(key, four);
      if (before !== 'queue-d') expect(ownerOf(key, three)).toBe(before);
    }
  });

  test('spreads sites over shards', () => {
    const shards = new Set(keys.map((key) => shardOf(key, 16)));
    expect(shards.size).toBe(16);
    expect(shardOf('mx:a', 256)).toBe(shardOf('mx:a', 256));
  });
});

describe('A bitmap', () => {
  test('holds what was put in and nothing else', () => {
    const bitmap = bitmapOf([0, 7, 8, 31], 32);
    expect(bitmap).toHaveLength(4);
    const held = Array.from({ length: 40 }, (_, i) => i).filter((i) => holdsBit(bitmap, i));
    expect(held).toEqual([0, 7, 8, 31]);
  });
});
