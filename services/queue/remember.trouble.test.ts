import { describe, expect, test } from '@jest/globals';
import { freeRounds } from '#kit/free-rounds.ts';
import { rememberBench as bench, custodyOf } from '#kit/remember-bench.ts';
import type { Custody } from './custody.ts';
import { Gate } from './gate.ts';
import { Rounds } from './rounds.ts';

const ACK = { worker: 'w', attemptId: 'a' };

describe('what workers wait for', () => {
  test('is gathered for a moment when it is little, and stored at once when it is much', async () => {
    const { remember, heard, flush } = bench();
    const add = (count: number, name: string) => {
      for (let i = 0; i < count; i++) {
        const custody = custodyOf(`${name}${i}`);
        custody.acks = [ACK];
        remember.add(custody);
      }
    };
    await flush();
    add(24, 'few');
    await flush(299);
    expect(heard).toEqual([]);
    await flush(1);
    expect(heard).toHaveLength(24);
    add(25, 'many');
    await flush(1);
    expect(heard).toHaveLength(49);
  });

  test('stands behind no gate, and behind no rest', async () => {
    const rounds = new Rounds({
      now: () => 0,
      gate: () => new Gate({ places: 1, rest: () => new Promise(() => {}), now: () => 0 }),
      onFailed: () => {},
    });
    const [busy, other] = [bench({ rounds }), bench({ rounds })];
    busy.remember.add(custodyOf('patient'));
    await busy.flush();
    other.remember.add(custodyOf('waits'));
    const waited = custodyOf('waited for');
    waited.acks = [ACK];
    other.remember.add(waited);
    void other.flush();
    await new Promise((done) => setImmediate(done));
    expect([busy.heard, other.heard]).toEqual([['stored patient'], ['stored waited for a']]);
    expect(other.remember.waiting).toBe(1);
  });

  test('leaves a share of every round to what nobody waits for', async () => {
    const { remember, heard, flush } = bench();
    const states = (name: string, count: number, acks: Custody['acks']) => {
      for (let i = 0; i < count; i++) {
        const custody = custodyOf(`${name}${i}`);
        custody.isStored = true;
        custody.acks = acks;
        remember.add(custody);
      }
    };
    states('patient', 60, []);
    for (let round = 0; round < 3; round++) {
      states(`urgent${round}.`, 200, [ACK]);
      await flush();
    }
    expect(heard.filter((words) => words.startsWith('stored patient'))).toHaveLength(60);
    expect(heard).toHaveLength(300);
  });
});

describe('a stream that fails', () => {
  test('holds up nobody who stores in another one, and all of its own alike', async () => {
    let nowMs = 0;
    const failed: string[] = [];
    const rounds = freeRounds(() => nowMs, failed);
    const [bad, alike, healthy] = [
      bench({ rounds, partition: 1 }),
      bench({ rounds, partition: 3 }),
      bench({ rounds, partition: 2 }),
    ];
    for (let i = 0; i < 3; i++) bad.answers.push({ kind: 'refused', code: 10109, words: 'sealed' });
    bad.remember.add(custodyOf('bad'));
    await bad.flush();
    for (const { remember, flush } of [alike, healthy]) {
      remember.add(custodyOf('m'));
      await flush();
    }
    expect([bad.heard, alike.singles.length, healthy.heard]).toEqual([[], 0, ['stored m']]);
    expect(failed).toEqual(['STORE_1']);
    expect(bad.troubles).toEqual(['STORE_1: refused: sealed (10109); 1 mails stay in their packs']);
    for (let i = 0; i < 3; i++) {
      nowMs += 2500;
      await bad.flush();
      await alike.flush();
    }
    expect([bad.heard, alike.heard]).toEqual([['stored bad'], ['stored m']]);
  });

  test('never says no to what needs only the state stored', async () => {
    // The pause of STORE is never over.
    const { remember, answers, heard, flush } = bench({ rounds: freeRounds(() => 0) });
    answers.push({ kind: 'unavailable' });
    remember.add(custodyOf('in its pack'));
    await flush();
    const remembered = custodyOf('remembered');
    remembered.isStored = true;
    remembered.acks = [ACK];
    remember.add(remembered);
    await flush(300);
    expect(heard).toEqual(['stored remembered a']);
  });
});

describe('a state', () => {
  test('that cannot be made costs its own mail', async () => {
    const { remember, heard, troubles, flush } = bench();
    const broken = custodyOf('broken');
    (broken.message as { recipients: unknown }).recipients = undefined;
    broken.isStored = true;
    const good = custodyOf('good');
    good.isStored = true;
    for (const custody of [broken, good]) remember.add(custody);
    await flush();
    expect(heard).toEqual(['stored good']);
    expect(troubles).toEqual([
      expect.stringMatching(/^broken cannot be remembered: its state cannot be made/),
    ]);
    expect(remember.waiting).toBe(1);
    await flush(59_999);
    expect(troubles).toHaveLength(1);
    await flush(300);
    expect(troubles).toHaveLength(2);
  });

  test('that is too big costs its own mail, in a batch too', async () => {
    const { remember, answers, heard, flush } = bench();
    const custodies = Array.from({ length: 20 }, (_, i) => custodyOf(`m${i}`));
    for (const custody of custodies) custody.isStored = true;
    answers.push({ kind: 'too-big' });
    for (let i = 0; i < 7; i++) answers.push({ kind: 'stored', sequence: 10 + i, duplicate: false });
    answers.push({ kind: 'too-big' });
    for (const custody of custodies) remember.add(custody);
    await flush();
    expect(heard).toHaveLength(19);
    expect(heard).not.toContain('stored m7');
    expect(remember.waiting).toBe(1);
  });

  test('that was sent twice may be there twice: what it overrules goes by subject', async () => {
    const { remember, answers, overruled, flush } = bench();
    const custody = custodyOf('m');
    const stored = { kind: 'stored', duplicate: false } as const;
    const sure = (sequence: number) => answers.push({ ...stored, sequence });
    const write = async () => {
      remember.add(custody);
      await flush();
    };
    sure(50);
    sure(60);
    await write();
    answers.push({ ...stored, sequence: 71, again: true });
    await write();
    sure(80);
    await write();
    sure(90);
    await write();
    expect(overruled).toEqual(['queue.0.m.m 71', 'queue.0.m.m 80', 'queue.0.m.m 90 after 80']);
  });

  test('that was refused by the fence when it was sent again may be stored: its data stays', async () => {
    const { remember, answers, heard, deleted, flush } = bench();
    answers.push({ kind: 'stored', sequence: 77, duplicate: false }, { kind: 'conflict', again: true });
    remember.add(custodyOf('m'));
    await flush();
    expect(heard).toEqual(['fenced']);
    expect(deleted).toEqual([]);
  });

  test('that was stored before the fence moved keeps its data', async () => {
    const { remember, answers, heard, deleted, flush } = bench();
    const stored = { kind: 'stored', duplicate: false } as const;
    answers.push({ ...stored, sequence: 76 }, { ...stored, sequence: 77 });
    answers.push({ ...stored, sequence: 500 }, { kind: 'conflict' });
    for (const name of ['a', 'b']) remember.add(custodyOf(name));
    await flush();
    expect(heard).toEqual(['stored a', 'fenced']);
    expect(deleted).toEqual(['STORE_0 77']);
  });
});
