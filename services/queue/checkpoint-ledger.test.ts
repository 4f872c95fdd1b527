import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CheckpointLedger } from './checkpoint-ledger.ts';

const record = (
  attemptIds: string[],
  more: { worker?: string; ended?: string[]; parts?: [string, number[]][] } = {},
) => ({
  worker: more.worker ?? 'w',
  attemptIds,
  ended: more.ended ?? [],
  parts: (more.parts ?? []).map(([attemptId, recipients]) => ({ attemptId, recipients })),
});
const nothingIsOver = () => false;
const idsOf = (ledger: CheckpointLedger) => [...ledger.all()].map(({ attemptId }) => attemptId);

describe('The ledger of checkpoints', () => {
  test('knows whose final dot may be out, by whom, and for which recipients', () => {
    const ledger = new CheckpointLedger();
    ledger.add(5, record(['a', 'b'], { worker: 'w1', parts: [['b', [1, 2]]] }), nothingIsOver);
    expect(ledger.get('a')).toMatchObject({ worker: 'w1', recipients: [] });
    expect(ledger.get('b')).toMatchObject({ worker: 'w1', recipients: [1, 2] });
    expect([ledger.size, ledger.readTo, ledger.records]).toEqual([2, 5, 1]);
  });

  test('lets records be removed below the oldest with an attempt that is not over', () => {
    const ledger = new CheckpointLedger();
    expect(ledger.lowWater()).toBe(1);
    ledger.add(3, record(['a', 'b']), nothingIsOver);
    ledger.add(4, record(['c']), nothingIsOver);
    ledger.over('c');
    ledger.over('a');
    expect(ledger.lowWater()).toBe(3);
    ledger.over('b');
    expect(ledger.lowWater()).toBe(5);
    ledger.over('b');
    ledger.add(9, record(['d']), nothingIsOver);
    expect(ledger.lowWater()).toBe(9);
  });

  test('keeps nothing of attempts that were over before their record came', () => {
    const ledger = new CheckpointLedger();
    ledger.add(3, record(['a', 'b']), (id) => id === 'a');
    expect(idsOf(ledger)).toEqual(['b']);
    ledger.add(4, record([], { ended: ['b', 'x'] }), nothingIsOver);
    expect([ledger.size, ledger.lowWater()]).toEqual([0, 5]);
  });

  test('holds an attempt that is recorded twice by its newest record', () => {
    const ledger = new CheckpointLedger();
    ledger.add(3, record(['a'], { worker: 'w1' }), nothingIsOver);
    ledger.add(4, record(['a'], { worker: 'w2' }), nothingIsOver);
    expect([ledger.size, ledger.get('a')?.worker, ledger.lowWater()]).toEqual([1, 'w2', 4]);
  });

  test('keeps what is open while the stream is read again, and lets nothing be removed until it was', () => {
    const ledger = new CheckpointLedger();
    ledger.forgetRecords();
    expect(ledger.lowWater()).toBe(1);
    ledger.add(30, record(['a', 'b', 'c']), nothingIsOver);
    ledger.over('a');
    ledger.forgetRecords();
    expect([idsOf(ledger), ledger.lowWater(), ledger.readTo]).toEqual([['b', 'c'], 0, 0]);
    ledger.add(2, record(['b']), nothingIsOver);
    expect(ledger.lowWater()).toBe(0);
    ledger.add(4, record(['c']), nothingIsOver);
    expect(ledger.lowWater()).toBe(2);
  });

  test('never passes what is not over, in any order, and keeps nothing when all is', () => {
    const id = fc.integer({ min: 0, max: 40 }).map(String);
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), ids: fc.uniqueArray(id, { maxLength: 5 }) }),
      fc.record({ kind: fc.constant('over' as const), id }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 3000 }), (steps) => {
        const ledger = new CheckpointLedger();
        const newest = new Map<string, number>();
        steps.forEach((one, at) => {
          if (one.kind === 'add') {
            ledger.add(at + 1, record(one.ids), nothingIsOver);
            for (const added of one.ids) newest.set(added, at + 1);
          } else {
            ledger.over(one.id);
            newest.delete(one.id);
          }
          expect(ledger.size).toBe(newest.size);
          if (newest.size > 0) expect(ledger.lowWater()).toBe(Math.min(...newest.values()));
        });
        for (const left of newest.keys()) ledger.over(left);
        expect([ledger.size, ledger.records]).toEqual([0, 0]);
      }),
      { numRuns: 30 },
    );
  });
});
