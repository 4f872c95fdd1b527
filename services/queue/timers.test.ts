import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Timed, TimerHeap } from './timers.ts';

interface Item extends Timed {
  name: number;
}

const item = (name: number): Item => ({ name, wakeAtMs: 0, heapIndex: -1 });
const names = (items: Item[]) => items.map(({ name }) => name);

describe('wake-ups', () => {
  test('come in the order of their times, at most so many at once', () => {
    const heap = new TimerHeap<Item>();
    expect(heap.nextAtMs).toBe(Number.POSITIVE_INFINITY);
    for (const [name, atMs] of [
      [1, 50],
      [2, 10],
      [3, 30],
      [4, 20],
    ] as const)
      heap.set(item(name), atMs);
    expect(heap.nextAtMs).toBe(10);
    expect(names(heap.takeDue(5, 10))).toEqual([]);
    expect(names(heap.takeDue(30, 2))).toEqual([2, 4]);
    expect(names(heap.takeDue(30, 2))).toEqual([3]);
    expect(heap.size).toBe(1);
  });

  test('are moved, taken out, and set again after they came', () => {
    const heap = new TimerHeap<Item>();
    const [a, b] = [item(1), item(2)];
    heap.set(a, 10);
    heap.set(b, 20);
    heap.set(a, 30);
    expect(names(heap.takeDue(25, 10))).toEqual([2]);
    heap.delete(b);
    heap.delete(a);
    heap.delete(a);
    expect(heap.size).toBe(0);
    heap.set(b, 5);
    expect(names(heap.takeDue(5, 10))).toEqual([2]);
  });
});

describe('any history of wake-ups', () => {
  test('is what a sorted list would do', () => {
    const step = fc.record({
      what: fc.constantFrom('set', 'set', 'set', 'delete', 'take'),
      name: fc.nat({ max: 30 }),
      atMs: fc.nat({ max: 100 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new TimerHeap<Item>();
        const items = Array.from({ length: 31 }, (_, name) => item(name));
        const model = new Map<number, number>();
        for (const { what, name, atMs } of steps) {
          if (what === 'set') {
            heap.set(items[name]!, atMs);
            model.set(name, atMs);
          } else if (what === 'delete') {
            heap.delete(items[name]!);
            model.delete(name);
          } else {
            const due = names(heap.takeDue(atMs, 5));
            const expected = [...model].filter(([, at]) => at <= atMs).sort((x, y) => x[1] - y[1]);
            expect(due.map((one) => model.get(one))).toEqual(expected.slice(0, 5).map(([, at]) => at));
            for (const one of due) model.delete(one);
          }
          expect(heap.size).toBe(model.size);
          expect(heap.nextAtMs).toBe(Math.min(...model.values(), Number.POSITIVE_INFINITY));
        }
      }),
    );
  });
});
