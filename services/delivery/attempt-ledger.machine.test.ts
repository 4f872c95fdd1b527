import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import { type Job, type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';
import {
  type LedgerState,
  newLedger,
  oldestWaitMs,
  onAcknowledged,
  onAdopted,
  onCancelled,
  onCheckpoint,
  onFinished,
  onInflightRequest,
  onJob,
  onPassed,
  onReconnected,
  onSwept,
} from './attempt-ledger.machine.ts';

function jobOf(attemptId: string, epoch = 1, partition = 0): Job {
  const base = { attemptId, queueId: `q-${attemptId}`, partition, epoch, ref: undefined, recipients: [] };
  return { ...base, startByMs: 1000, trace: undefined, attempts: 0, ownTrace: false };
}

function outcomeOf(attemptId: string): Outcome {
  const base = { attemptId, queueId: `q-${attemptId}`, kind: OutcomeKind.RELAYED, reply: undefined };
  return { ...base, recipients: [], tls: '', jobRecipients: [] };
}

describe('the attempt ledger', () => {
  test('starts a job once and answers its repetitions with what is known (L1, L3)', () => {
    const ledger = newLedger<string>(0);
    expect(onJob(ledger, jobOf('a'), 'site', 'run a')).toEqual({ kind: 'start' });
    expect(onJob(ledger, jobOf('a'), 'site', 'again')).toEqual({ kind: 'running' });
    onFinished(ledger, outcomeOf('a'), 5);
    expect(onJob(ledger, jobOf('a'), 'site', 'again')).toEqual({ kind: 'outcome', outcome: outcomeOf('a') });
    onAcknowledged(ledger, { partition: 0, epoch: 1, attemptIds: ['a', 'never heard of'] });
    expect(onJob(ledger, jobOf('a'), 'site', 'again')).toEqual({ kind: 'outcome', outcome: outcomeOf('a') });
  });

  test('makes an attempt one of the owner that adopts it, unless that one is older than the newest known (L2)', () => {
    const ledger = newLedger<string>(0);
    onJob(ledger, jobOf('a', 7), 'site', 'run');
    const adopt = (epoch: number, ...adopted: string[]) => {
      onAdopted(ledger, { partition: 0, epoch, adopted });
      return ledger.running.get('a')!.job.epoch;
    };
    expect([adopt(9), adopt(9, 'a', 'unknown'), adopt(8, 'a')]).toEqual([7, 9, 9]);
  });

  test('knows for how long the oldest outcome has waited, however often it was told', () => {
    const ledger = newLedger<string>(0);
    expect(oldestWaitMs(ledger, 100)).toBe(0);
    for (const [id, atMs] of [
      ['a', 5],
      ['b', 30],
    ] as const) {
      onJob(ledger, jobOf(id), 'site', 'run');
      onFinished(ledger, outcomeOf(id), atMs);
    }
    onSwept(ledger, { nowMs: 40, toldBeforeMs: 40, max: 10 });
    expect(oldestWaitMs(ledger, 100)).toBe(95);
    onAcknowledged(ledger, { partition: 0, epoch: 1, attemptIds: ['a'] });
    expect(oldestWaitMs(ledger, 100)).toBe(70);
  });

  test('ignores jobs and acknowledgements of an older owner (L1, L2, L4)', () => {
    const ledger = newLedger<string>(0);
    onJob(ledger, jobOf('a', 7), 'site', 'run');
    onFinished(ledger, outcomeOf('a'), 5);
    expect(onJob(ledger, jobOf('b', 6), 'site', 'run')).toEqual({ kind: 'stale' });
    onAcknowledged(ledger, { partition: 0, epoch: 6, attemptIds: ['a'] });
    expect(ledger.unacknowledged.size).toBe(1);
    expect(onJob(ledger, jobOf('c', 6, 1), 'site', 'run')).toEqual({ kind: 'start' });
  });

  test('hears owners that count from 1 again when nobody has spoken for a newer one in a minute (L4)', () => {
    const ledger = newLedger<string>(0);
    const sweep = (nowMs: number) => onSwept(ledger, { nowMs, toldBeforeMs: 0, max: 10 });
    const startsAt = (epoch: number, partition: number) =>
      onJob(ledger, jobOf(`${epoch} ${partition}`, epoch, partition), 'site', 'run').kind === 'start';
    expect([startsAt(700, 0), startsAt(700, 1)]).toEqual([true, true]);
    sweep(60_000);
    expect([startsAt(1, 0), startsAt(1, 1)]).toEqual([false, false]);
    onAcknowledged(ledger, { partition: 1, epoch: 700, attemptIds: [] });
    sweep(119_999);
    expect([startsAt(2, 0), startsAt(2, 1)]).toEqual([false, false]);
    sweep(120_000);
    expect([startsAt(3, 0), startsAt(3, 1)]).toEqual([true, false]);
  });

  test('knows which of the attempts that an owner cancels still run, and hears no older owner (L2)', () => {
    const ledger = newLedger<string>(0);
    for (const id of ['a', 'b', 'c']) onJob(ledger, jobOf(id, 7), 'site', `run ${id}`);
    onFinished(ledger, outcomeOf('b'), 5);
    const cancel = (epoch: number, ...cancelled: string[]) =>
      onCancelled(ledger, { partition: 0, epoch, cancelled }).map(({ run, siteKey }) => [run, siteKey]);
    expect(cancel(6, 'a')).toEqual([]);
    expect(cancel(7)).toEqual([]);
    expect(cancel(7, 'a', 'b', 'never heard of')).toEqual([['run a', 'site']]);
    expect(cancel(8, 'c')).toEqual([['run c', 'site']]);
    expect(cancel(7, 'c')).toEqual([]);
  });

  test('tells a new owner what runs and what was never acknowledged, and fences the old one', () => {
    const ledger = newLedger<string>(0);
    for (const id of ['a', 'b']) onJob(ledger, jobOf(id), 'site', `run ${id}`);
    onJob(ledger, jobOf('x', 1, 1), 'site', 'run x');
    onFinished(ledger, outcomeOf('a'), 5);
    onJob(ledger, jobOf('y', 1, 1), 'site', 'run y');
    onFinished(ledger, outcomeOf('y'), 5);
    onCheckpoint(ledger, 'b');
    onCheckpoint(ledger, 'unknown');
    const known = onInflightRequest(ledger, { partition: 0, epoch: 2 });
    const ofB = { job: jobOf('b'), siteKey: 'site', run: 'run b', checkpointed: true };
    expect(known.running).toEqual([{ ...ofB, passed: false }]);
    expect(known.unacknowledged).toEqual([outcomeOf('a')]);
    expect(onJob(ledger, jobOf('c', 1), 'site', 'run')).toEqual({ kind: 'stale' });
    onPassed(ledger, 'b');
    onPassed(ledger, 'unknown');
    expect(onInflightRequest(ledger, { partition: 0, epoch: 2 }).running).toEqual([{ ...ofB, passed: true }]);
  });

  test('tells outcomes again, those told longest ago first, so many at a time (L2)', () => {
    const ledger = newLedger<string>(0);
    for (const [at, id] of ['a', 'b', 'c'].entries()) {
      onJob(ledger, jobOf(id), 'site', id);
      expect(onFinished(ledger, outcomeOf(id), at)).toBe(true);
      expect(onFinished(ledger, outcomeOf(id), at)).toBe(false);
    }
    const ids = (sweep: { nowMs: number; toldBeforeMs: number; max: number }) =>
      onSwept(ledger, sweep).map((one) => one.outcome.attemptId);
    expect(ids({ nowMs: 10, toldBeforeMs: 1, max: 9 })).toEqual(['a', 'b']);
    expect(ids({ nowMs: 2010, toldBeforeMs: 10, max: 2 })).toEqual(['c', 'a']);
    expect(ids({ nowMs: 4010, toldBeforeMs: 10, max: 2 })).toEqual(['b']);
  });

  describe('of an owner that acknowledges nothing', () => {
    /** 200 outcomes of partition 0 and 3 of partition 1, told at 0 and all once more at 2 s. */
    const silent = () => {
      const ledger = newLedger<string>(0);
      for (let i = 0; i < 203; i++) {
        onJob(ledger, jobOf(`a${i}`, 1, i < 200 ? 0 : 1), 'site', 'run');
        onFinished(ledger, outcomeOf(`a${i}`), 0);
      }
      const toldAt = (nowMs: number) => {
        const told = onSwept(ledger, { nowMs, toldBeforeMs: nowMs - 2000, max: 5000 });
        return told.filter(({ partition }) => partition === 0).length;
      };
      expect(toldAt(2000)).toBe(200);
      return { ledger, toldAt };
    };

    test('tells a few again every two seconds, not all (L5)', () => {
      const { toldAt } = silent();
      expect([2500, 3999, 4000, 4500, 6000, 8000].map(toldAt)).toEqual([0, 0, 50, 0, 50, 50]);
    });

    test('tells others all the same (L5)', () => {
      const { ledger } = silent();
      onAcknowledged(ledger, { partition: 1, epoch: 1, attemptIds: ['a200'] });
      const told = onSwept(ledger, { nowMs: 4000, toldBeforeMs: 2000, max: 5000 });
      expect(told.filter(({ partition }) => partition === 1)).toHaveLength(2);
    });

    test.each<[string, (ledger: LedgerState<string>) => void, number]>([
      ['it acknowledges one', (l) => onAcknowledged(l, { partition: 0, epoch: 1, attemptIds: ['a0'] }), 199],
      ['another one asks', (l) => onInflightRequest(l, { partition: 0, epoch: 2 }), 200],
      ['the connection is back', (l) => onReconnected(l), 200],
    ])('tells all again when %s (L5)', (_, speak, all) => {
      const { ledger, toldAt } = silent();
      expect(toldAt(4000)).toBe(50);
      speak(ledger);
      expect(toldAt(4500)).toBe(150);
      expect(ledger.unacknowledged.size).toBe(all + 3);
    });

    test('tells nothing more when one of an older epoch speaks (L2, L5)', () => {
      const { ledger, toldAt } = silent();
      onInflightRequest(ledger, { partition: 0, epoch: 2 });
      expect(toldAt(4000)).toBe(200);
      onAcknowledged(ledger, { partition: 0, epoch: 1, attemptIds: ['a0'] });
      onAcknowledged(ledger, { partition: 0, epoch: 2, attemptIds: [] });
      expect(toldAt(6000)).toBe(50);
      for (const epoch of [1, 2]) onInflightRequest(ledger, { partition: 0, epoch });
      expect(toldAt(6500)).toBe(0);
    });
  });

  describe('whose outcomes nobody acts on', () => {
    const MIB = 1024 ** 2;
    const large = (attemptId: string) => ({ ...outcomeOf(attemptId), tls: 'x'.repeat(MIB) });

    /** Takes jobs of the partition until it takes no more; returns how many. */
    function fill(ledger: LedgerState<string>, partition: number): number {
      for (let i = 0; ; i++) {
        const id = `p${partition}-${i}`;
        if (onJob(ledger, jobOf(id, 1, partition), 'site', 'run').kind !== 'start') return i;
        onFinished(ledger, large(id), 0);
      }
    }

    test('takes no more jobs of that owner, and those of others (L6)', () => {
      const ledger = newLedger<string>(0);
      expect(fill(ledger, 0)).toBe(32);
      expect(onJob(ledger, jobOf('p0-99'), 'site', 'run')).toEqual({ kind: 'full' });
      expect(onJob(ledger, jobOf('other', 1, 1), 'site', 'run')).toEqual({ kind: 'start' });
      expect([...ledger.running.keys()]).toEqual(['other']);
    });

    test('answers for what it has all the same (L3)', () => {
      const ledger = newLedger<string>(0);
      onJob(ledger, jobOf('runs'), 'site', 'run');
      fill(ledger, 0);
      expect(onJob(ledger, jobOf('runs'), 'site', 'again').kind).toBe('running');
      expect(onJob(ledger, jobOf('p0-0'), 'site', 'again').kind).toBe('outcome');
    });

    test('keeps 64 MiB at most when all owners are silent, and room for each (L6)', () => {
      const ledger = newLedger<string>(0);
      const taken = Array.from({ length: 20 }, (_, partition) => fill(ledger, partition));
      expect(taken.slice(0, 6)).toEqual([32, 16, 8, 4, 2, 1]);
      expect(ledger.untoldOctetsAll).toBeLessThan(65 * MIB);
    });

    test('takes jobs again when they are acted on (L6)', () => {
      const ledger = newLedger<string>(0);
      fill(ledger, 0);
      onAcknowledged(ledger, { partition: 0, epoch: 1, attemptIds: ['p0-0', 'p0-0'] });
      expect(onJob(ledger, jobOf('next'), 'site', 'run')).toEqual({ kind: 'start' });
      const ids = [...ledger.unacknowledged.keys()];
      onAcknowledged(ledger, { partition: 0, epoch: 1, attemptIds: ids });
      expect([ledger.untoldOctetsAll, ledger.untoldOctets.get(0)]).toEqual([0, 0]);
    });

    test('keeps no more than 64 MiB of those that were acted on', () => {
      const ledger = newLedger<string>(0);
      for (let i = 0; i < 200; i++) {
        onJob(ledger, jobOf(`a${i}`), 'site', 'run');
        onFinished(ledger, large(`a${i}`), 0);
        onAcknowledged(ledger, { partition: 0, epoch: 1, attemptIds: [`a${i}`] });
        onSwept(ledger, { nowMs: 1, toldBeforeMs: 0, max: 1 });
        expect(ledger.remembered.size + ledger.fading.size).toBeLessThanOrEqual(65);
      }
      expect(onJob(ledger, jobOf('a199'), 'site', 'again').kind).toBe('outcome');
    });
  });

  test('forgets acknowledged outcomes after ten to twenty minutes', () => {
    const ledger = newLedger<string>(0);
    onJob(ledger, jobOf('a'), 'site', 'a');
    onFinished(ledger, outcomeOf('a'), 0);
    onAcknowledged(ledger, { partition: 0, epoch: 1, attemptIds: ['a'] });
    onSwept(ledger, { nowMs: 600_000, toldBeforeMs: 0, max: 1 });
    expect(onJob(ledger, jobOf('a'), 'site', 'a').kind).toBe('outcome');
    onSwept(ledger, { nowMs: 1_200_000, toldBeforeMs: 0, max: 1 });
    expect(onJob(ledger, jobOf('a'), 'site', 'a').kind).toBe('start');
  });

  test('keeps a bounded number of acknowledged outcomes', () => {
    const ledger = newLedger<string>(0);
    for (let i = 0; i < 50_001; i++) ledger.remembered.set(`${i}`, outcomeOf(`${i}`));
    onSwept(ledger, { nowMs: 1, toldBeforeMs: 0, max: 1 });
    expect([ledger.remembered.size, ledger.fading.size]).toEqual([0, 50_001]);
  });
});

type Fact =
  | { kind: 'job'; id: string; epoch: number }
  | { kind: 'finished'; id: string }
  | { kind: 'acknowledged'; id: string; epoch: number }
  | { kind: 'asked'; epoch: number }
  | { kind: 'swept'; nowMs: number };

const FACTS: Fact[] = ['a', 'b'].flatMap((id): Fact[] => [
  { kind: 'job', id, epoch: 1 },
  { kind: 'job', id, epoch: 2 },
  { kind: 'finished', id },
  { kind: 'acknowledged', id, epoch: 1 },
  { kind: 'acknowledged', id, epoch: 2 },
]);
FACTS.push({ kind: 'asked', epoch: 2 }, { kind: 'swept', nowMs: 0 }, { kind: 'swept', nowMs: 600_000 });

interface Watched {
  ledger: LedgerState<string>;
  /** How often each attempt began since it was last forgotten. */
  begun: Record<string, number>;
}

function act({ ledger, begun }: Watched, fact: Fact): string[] {
  switch (fact.kind) {
    case 'job': {
      const verdict = onJob(ledger, jobOf(fact.id, fact.epoch), 'site', fact.id);
      if (verdict.kind === 'start') begun[fact.id] = (begun[fact.id] ?? 0) + 1;
      return [verdict.kind];
    }
    case 'finished':
      onFinished(ledger, outcomeOf(fact.id), 0);
      return [];
    case 'acknowledged':
      onAcknowledged(ledger, { partition: 0, epoch: fact.epoch, attemptIds: [fact.id] });
      return [];
    case 'asked':
      return onInflightRequest(ledger, { partition: 0, epoch: fact.epoch }).unacknowledged.map(
        (o) => o.attemptId,
      );
    case 'swept': {
      const told = onSwept(ledger, { nowMs: fact.nowMs, toldBeforeMs: 0, max: 9 });
      // Time starts anew, so that the walk ends.
      ledger.rotatedAtMs = 0;
      for (const one of told) one.toldAtMs = 0;
      for (const id of ['a', 'b']) if (!isKnown(ledger, id)) begun[id] = 0;
      return told.map((one) => one.outcome.attemptId);
    }
  }
}

function isKnown(ledger: LedgerState<string>, id: string): boolean {
  return [ledger.running, ledger.unacknowledged, ledger.remembered, ledger.fading].some((map) => map.has(id));
}

function epochOf({ ledger }: Watched): number {
  return ledger.epochs.get(0) ?? 0;
}

function checkAttempt(id: string, before: Watched, input: Fact, after: Watched): void {
  const { running, unacknowledged, remembered, fading } = after.ledger;
  const places = [running.has(id), unacknowledged.has(id), remembered.has(id) || fading.has(id)];
  expect(places.filter(Boolean).length).toBeLessThanOrEqual(1);
  expect(after.begun[id] ?? 0).toBeLessThanOrEqual(1);
  const gone = before.ledger.unacknowledged.has(id) && !unacknowledged.has(id);
  if (gone) expect(input).toMatchObject({ kind: 'acknowledged', id });
}

describe('every life of the attempt ledger', () => {
  test('runs no known attempt twice, loses no outcome, never goes back to an older owner', () => {
    const walked = walkLives<Watched, Fact, string[]>({
      starts: [{ ledger: newLedger<string>(0), begun: {} }],
      inputs: () => FACTS,
      receive: (state, fact) => ({ state, effects: act(state, fact) }),
      key: ({ ledger, begun }) =>
        JSON.stringify([
          [...ledger.running.keys()].sort(),
          [...ledger.unacknowledged.keys()],
          [...ledger.remembered.keys()].sort(),
          [...ledger.fading.keys()].sort(),
          [...ledger.epochs],
          begun,
        ]),
      check: ({ before, input, after, effects }) => {
        for (const id of ['a', 'b']) checkAttempt(id, before, input, after);
        expect(epochOf(after)).toBeGreaterThanOrEqual(epochOf(before));
        if (input.kind === 'asked') expect(effects).toEqual([...before.ledger.unacknowledged.keys()]);
        if (input.kind === 'job' && input.epoch < epochOf(before)) expect(effects).toEqual(['stale']);
      },
    });
    expect(walked.states.length).toBeGreaterThan(100);
  });
});
