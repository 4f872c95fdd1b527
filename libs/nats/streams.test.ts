import { describe, expect, test } from '@jest/globals';
import { type Change, changeText, compare, differenceText, type StreamConfig, streamsOf } from './streams.ts';

const layout = { partitions: 4, spoolStreams: 2, replicas: 3, spoolSizeMax: 1000 };
const spool = () => ({ ...streamsOf(layout).find(({ name }) => name === 'SPOOL_1')! });
const found = (over: Record<string, unknown>): StreamConfig => ({ ...spool(), ...over });

describe('The streams of a layout', () => {
  test('are a SPOOL and a STORE for each share of the partitions, SETTLE, QUEUE, CHECKPOINTS, QUARANTINE and RULES', () => {
    expect(streamsOf(layout).map(({ name, subjects }) => [name, ...subjects])).toEqual([
      ['SPOOL_0', 'spool.0', 'spool.2'],
      ['STORE_0', 'store.0', 'store.2'],
      ['SPOOL_1', 'spool.1', 'spool.3'],
      ['STORE_1', 'store.1', 'store.3'],
      ['SETTLE', 'settle.*'],
      ['QUEUE', 'queue.*.owner', 'queue.*.m.*'],
      ['CHECKPOINTS', 'checkpoint.*', 'fence.*'],
      ['QUARANTINE', 'quarantine.*'],
      ['RULES', 'rules.traces'],
    ]);
  });

  test('throw away no mail when they are full, but old checkpoints', () => {
    const bounded = streamsOf(layout).filter(({ max_bytes: octets }) => octets !== undefined);
    const kept = bounded.map(({ name, discard }) => `${name} ${discard}`);
    expect(kept).toEqual(['SPOOL_0 new', 'STORE_0 new', 'SPOOL_1 new', 'STORE_1 new', 'CHECKPOINTS old']);
  });

  test('keep checkpoints where no final dot waits for a disk', () => {
    const checkpoints = (replicas: number) =>
      streamsOf({ ...layout, replicas }).find(({ name }) => name === 'CHECKPOINTS')!;
    expect(checkpoints(3)).toMatchObject({ storage: 'memory', num_replicas: 3 });
    expect(checkpoints(3)).not.toHaveProperty('persist_mode');
    expect(checkpoints(1)).toMatchObject({ storage: 'file', persist_mode: 'async' });
  });
});

/** The texts of what is different, by kind; kinds without any are left out. */
function differences(wanted: StreamConfig, found: StreamConfig): Record<string, string[]> {
  const kinds = Object.entries(compare(wanted, found)) as [string, Change[]][];
  const some = kinds.filter(([, changes]) => changes.length > 0);
  return Object.fromEntries(some.map(([kind, changes]) => [kind, changes.map(changeText)]));
}

describe('A stream that is there', () => {
  test('is left alone when it is as wanted, whatever else it has', () => {
    expect(differences(spool(), found({ subjects: ['spool.3', 'spool.1'], compression: 's2' }))).toEqual({});
  });

  test.each([
    ['more room', { max_bytes: 999 }, 'max_bytes 999 octets -> 1000 octets'],
    ['more copies', { num_replicas: 1 }, 'num_replicas 1 -> 3'],
    ['more copies, when it does not say how many', { num_replicas: undefined }, 'num_replicas 1 -> 3'],
    ['a longer life', { max_age: 1e9 }, 'max_age 1 s -> for ever'],
    ['a longer memory of ids', { duplicate_window: 120e9 }, 'duplicate_window 120 s -> 600 s'],
    ['to refuse instead of to discard', { discard: undefined }, 'discard old -> new'],
    ['direct reads', { allow_direct: undefined }, 'allow_direct false -> true'],
  ])('may get %s', (_what, over, text) => {
    expect(differences(spool(), found(over))).toEqual({ changes: [text] });
  });

  test.each([
    ['less room', { max_bytes: 1001 }, 'max_bytes 1001 octets -> 1000 octets'],
    ['a limit where there is none', { max_bytes: -1 }, 'max_bytes unlimited -> 1000 octets'],
    ['a limit where none is named', { max_bytes: undefined }, 'max_bytes unlimited -> 1000 octets'],
    ['fewer copies', { num_replicas: 5 }, 'num_replicas 5 -> 3'],
  ])('shrinks with %s', (_what, over, text) => {
    expect(differences(spool(), found(over))).toEqual({ shrinking: [text] });
  });

  test('would lose records earlier with a shorter age, or take one twice with a shorter memory', () => {
    const memory = { duplicate_window: 900e9 };
    expect(differences(spool(), found(memory))).toEqual({ shorter: ['duplicate_window 900 s -> 600 s'] });
    const store = streamsOf(layout).find(({ name }) => name === 'STORE_0')!;
    const longer = { ...store, max_age: 0 };
    expect(differences(store, longer)).toEqual({ shorter: ['max_age for ever -> 34560000 s'] });
  });

  test.each([
    [
      'fewer subjects',
      { subjects: ['spool.1', 'spool.3', 'spool.5'] },
      'spool.1, spool.3, spool.5 -> spool.1, spool.3',
    ],
    ['other subjects', { subjects: ['spool.1'] }, 'spool.1 -> spool.1, spool.3'],
    ['another retention', { retention: 'workqueue' }, 'workqueue -> limits'],
    ['another storage', { storage: 'memory' }, 'memory -> file'],
  ])('never fits with %s', (_what, over, text) => {
    expect(differences(spool(), found(over))).toEqual({ unfit: [expect.stringContaining(text)] });
  });

  test('is described in the words of the configuration, however many subjects it has', () => {
    const subjects = (count: number) => Array.from({ length: count }, (_, p) => `spool.${p}`);
    expect(differenceText({ key: 'subjects', from: subjects(32), to: subjects(2) })).toBe(
      'subjects (nats.partitions and nats.spoolStreams, fixed for the life of the data): ' +
        'have spool.0, spool.1, spool.2, spool.3, ... (32 in all), want spool.0, spool.1',
    );
    expect(differenceText({ key: 'max_bytes', from: -1, to: 10 })).toBe(
      'max_bytes (nats.spoolSizeMax): have unlimited, want 10 octets',
    );
    expect(differenceText({ key: 'discard', from: 'old', to: 'new' })).toBe('discard: have old, want new');
  });
});
