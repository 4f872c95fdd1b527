import { describe, expect, test } from '@jest/globals';
import { type Found, hindranceOf, planOf } from './stream-plan.ts';
import { type StreamConfig, streamsOf } from './streams.ts';

const layout = { partitions: 4, spoolStreams: 2, replicas: 1, spoolSizeMax: 1000 };
const wanted = streamsOf(layout);
const NOW_MS = Date.UTC(2026, 10, 27);
const spool = wanted.find(({ name }) => name === 'SPOOL_1')!;

/** All streams as `from` says, with these laid over by name. */
function there(
  over: Record<string, { config?: Record<string, unknown>; bytes?: number }> = {},
  from: readonly StreamConfig[] = wanted,
): Map<string, Found> {
  return new Map(
    from.map((config) => {
      const { config: other = {}, bytes = 0 } = over[config.name] ?? {};
      return [config.name, { config: { ...config, ...other }, state: { bytes, messages: bytes } }];
    }),
  );
}

/** What the plan does, by stream. */
function kinds(
  found: ReadonlyMap<string, Found>,
  options = { allowShrink: false, nowMs: NOW_MS },
): Record<string, string> {
  return Object.fromEntries(planOf(wanted, found, options).map(({ stream, kind }) => [stream, kind]));
}

const reasonOf = (
  found: ReadonlyMap<string, Found>,
  stream: string,
  options = { allowShrink: false, nowMs: NOW_MS },
) => {
  const step = planOf(wanted, found, options).find((one) => one.stream === stream);
  return step?.kind === 'refuse' ? step.reason : step?.kind;
};

describe('A plan', () => {
  test('makes what is missing and leaves what fits', () => {
    const found = there();
    found.delete('STORE_1');
    const names = ['SPOOL_0', 'SPOOL_1', 'STORE_0', 'SETTLE', 'QUEUE', 'CHECKPOINTS', 'QUARANTINE', 'RULES'];
    const rest = Object.fromEntries(names.map((name) => [name, 'leave']));
    expect(kinds(found)).toEqual({ ...rest, STORE_1: 'make' });
    expect(new Set(Object.values(kinds(new Map())))).toEqual(new Set(['make']));
  });

  test('makes one anew whose numbers never meant anything else, beside others; the first ones count from 1', () => {
    const found = there();
    found.delete('SPOOL_1');
    const madeAt = (nowMs: number) => {
      const step = planOf(wanted, found, { allowShrink: false, nowMs }).find(({ kind }) => kind === 'make')!;
      return (step as { config: StreamConfig }).config.first_seq as number;
    };
    // Behind a thousand records in each millisecond since.
    expect(madeAt(NOW_MS + 1) - madeAt(NOW_MS)).toBe(1000);
    expect(madeAt(Date.UTC(2200, 0))).toBeLessThan(Number.MAX_SAFE_INTEGER);
    // A machine whose clock was never set.
    expect(madeAt(0)).toBeUndefined();
    const first = planOf(wanted, new Map(), { allowShrink: false, nowMs: NOW_MS });
    expect(first.filter((step) => 'config' in step && 'first_seq' in step.config)).toEqual([]);
    const started = there({ SPOOL_1: { config: { first_seq: madeAt(NOW_MS) } } });
    expect(kinds(started).SPOOL_1).toBe('leave');
  });

  test('changes only what is different, and keeps what it knows nothing of', () => {
    const found = there({ SPOOL_1: { config: { max_bytes: 10, description: 'ours' } } });
    const step = planOf(wanted, found, { allowShrink: false, nowMs: NOW_MS }).find(
      ({ stream }) => stream === 'SPOOL_1',
    );
    expect(step).toMatchObject({
      kind: 'change',
      config: { max_bytes: 1000, description: 'ours' },
      changes: [{ key: 'max_bytes', from: 10, to: 1000 }],
    });
  });

  test('refuses to shrink; with leave it shrinks around what is stored', () => {
    const full = there({ SPOOL_1: { config: { max_bytes: 2000 }, bytes: 1001 } });
    const half = there({ SPOOL_1: { config: { max_bytes: 2000 }, bytes: 1000 } });
    const words = 'max_bytes (nats.spoolSizeMax): have 2000 octets, want 1000 octets';
    expect(reasonOf(half, 'SPOOL_1')).toBe(`it would shrink: ${words}`);
    expect(reasonOf(half, 'SPOOL_1', { allowShrink: true, nowMs: NOW_MS })).toBe('change');
    expect(reasonOf(full, 'SPOOL_1', { allowShrink: true, nowMs: NOW_MS })).toBe(
      `1001 octets are stored: ${words}`,
    );
  });

  test('does not let one that would shrink keep others from growing', () => {
    const found = there({ SPOOL_0: { config: { max_bytes: 2000 } }, SPOOL_1: { config: { max_bytes: 10 } } });
    expect(kinds(found)).toMatchObject({ SPOOL_0: 'refuse', SPOOL_1: 'change' });
  });

  test('shortens no age, even with leave', () => {
    const found = there({ SETTLE: { config: { duplicate_window: 900e9 } } });
    expect(reasonOf(found, 'SETTLE', { allowShrink: true, nowMs: NOW_MS })).toBe(
      'it would keep records for a shorter time: duplicate_window: have 900 s, want 600 s',
    );
  });

  test('does nothing at all for a smaller layout, and says what it would leave behind', () => {
    const found = there({ SPOOL_2: { bytes: 7 } }, streamsOf({ ...layout, spoolStreams: 3 }));
    found.delete('QUEUE');
    const [spoolKind, queueKind] = [kinds(found).SPOOL_0, kinds(found).QUEUE];
    expect([spoolKind, queueKind]).toEqual(['refuse', 'forgo']);
    expect(reasonOf(found, 'SPOOL_0', { allowShrink: true, nowMs: NOW_MS })).toContain(
      'have spool.0, spool.3, want spool.0, spool.2',
    );
    expect(reasonOf(found, 'SPOOL_2', { allowShrink: true, nowMs: NOW_MS })).toBe(
      'nats.spoolStreams, fixed for the life of the data: have 3 or more, want 2; it holds 7 records',
    );
  });

  test('makes anew what is worth little when it cannot become what is wanted', () => {
    const more = there({}, streamsOf({ ...layout, replicas: 3 }));
    const step = planOf(wanted, more, { allowShrink: true, nowMs: NOW_MS }).find(
      ({ stream }) => stream === 'CHECKPOINTS',
    );
    expect(step).toMatchObject({ kind: 'remake', config: { storage: 'file', persist_mode: 'async' } });
    const other = there({ SETTLE: { config: { storage: 'memory' } } });
    expect(kinds(other)).toMatchObject({ SETTLE: 'refuse', CHECKPOINTS: 'leave' });
  });

  test('does nothing at all for other partitions', () => {
    const found = there({ SETTLE: { config: { max_age: 5 } } }, streamsOf({ ...layout, partitions: 8 }));
    expect(kinds(found)).toMatchObject({ SPOOL_0: 'refuse', STORE_1: 'refuse', SETTLE: 'forgo' });
  });
});

describe('A service that waits', () => {
  test.each([
    ['has other subjects', { subjects: ['spool.1'] }, 'subjects'],
    ['has too few copies', { num_replicas: 0 }, 'num_replicas (nats.replicas): have 0, want 1'],
    ['throws mail away when it is full', { discard: 'old' }, 'discard: have old, want new'],
    ['lets mail grow old', { max_age: 5e9 }, 'max_age: have 5 s, want for ever'],
  ])('is kept by a stream that %s', (_what, over, words) => {
    expect(hindranceOf(spool, { ...spool, ...over })).toContain(words);
  });

  test.each([
    ['is as wanted', {}],
    ['has less room', { max_bytes: 1 }],
    ['has more room and more copies', { max_bytes: 5000, num_replicas: 3 }],
    ['remembers ids for a shorter time', { duplicate_window: 1e9 }],
    ['remembers ids for longer', { duplicate_window: 1e15 }],
  ])('is not kept by one that %s', (_what, over) => {
    expect(hindranceOf(spool, { ...spool, ...over })).toBeUndefined();
  });
});
