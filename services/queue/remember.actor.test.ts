import { describe, expect, test } from '@jest/globals';
import { rememberBench as bench, custodyOf, FRAME, settle } from '#kit/remember-bench.ts';
import { MailState } from '#proto/postrider/v1/mail.ts';

const ACK = { worker: 'w', attemptId: 'a' };

describe('remembering a mail', () => {
  test('moves its data, then stores its state under the fence, then says so', async () => {
    const { remember, singles, overruled, heard, flush } = bench();
    const custody = custodyOf('m');
    custody.acks = [ACK];
    remember.add(custody);
    await flush();
    expect(singles.map(({ subject }) => subject)).toEqual(['store.0', 'queue.0.m.m']);
    expect(Buffer.from(singles[0]!.payload as Uint8Array)).toEqual(FRAME);
    expect(singles[1]!.fence).toEqual({ subject: 'queue.0.owner', sequence: 9 });
    const ref = { stream: 'STORE_0', sequence: 101, offset: 0, length: FRAME.length };
    expect(MailState.decode(singles[1]!.payload as Uint8Array).ref).toEqual(ref);
    expect(custody.message.ref).toEqual(ref);
    expect(custody).toMatchObject({ isStored: true, stateSequence: 102, acks: [] });
    expect(heard).toEqual(['stored m a']);
    expect(overruled).toEqual([]);
    remember.add(custody);
    await flush();
    expect(singles).toHaveLength(3);
    expect(overruled).toEqual(['queue.0.m.m 103 after 102']);
  });

  test('reads a pack once for the mails that it has, and stores many in one batch', async () => {
    const { remember, batches, reads, flush } = bench();
    const custodies = Array.from({ length: 20 }, (_, i) => custodyOf(`m${i}`, i < 10 ? 5 : 6));
    for (const custody of custodies) remember.add(custody);
    await flush();
    expect(reads).toEqual([5, 6]);
    expect(batches.map((drafts) => drafts.length)).toEqual([20, 20]);
    expect(custodies.map(({ message }) => message.ref.sequence)).toEqual(
      Array.from({ length: 20 }, (_, i) => 101 + i),
    );
  });

  test('batches two already when the stream is replicated', async () => {
    const { remember, batches, singles, flush } = bench({ replicas: 3 });
    for (const name of ['a', 'b']) remember.add(custodyOf(name));
    await flush();
    expect(batches).toHaveLength(2);
    expect(singles).toHaveLength(0);
  });

  test('begins with those that a worker waits for', async () => {
    const { remember, heard, flush } = bench();
    for (let i = 0; i < 150; i++) remember.add(custodyOf(`patient${i}`));
    const urgent = custodyOf('urgent');
    remember.add(urgent);
    urgent.acks = [ACK];
    remember.add(urgent);
    await flush();
    expect(heard[0]).toBe('stored urgent a');
    expect(heard).toHaveLength(100);
    expect(remember.waiting).toBe(51);
  });
});

describe('forgetting a mail', () => {
  test('waits until its line is stored, then says so in its state and removes its data', async () => {
    const { remember, singles, heard, deleted, overruled, flush } = bench();
    const custody = custodyOf('m');
    custody.isStored = true;
    custody.message.ref = { stream: 'STORE_0', sequence: 7, offset: 0, length: FRAME.length };
    settle(custody, 'given');
    custody.acks = [ACK];
    remember.add(custody);
    await flush();
    expect(singles).toEqual([]);
    custody.line = 'stored';
    await flush();
    expect(singles).toHaveLength(1);
    expect(singles[0]).toMatchObject({ subject: 'queue.0.m.m', fence: { sequence: 9 } });
    expect(singles[0]!.payload).toHaveLength(0);
    expect(heard).toEqual(['forgotten m a']);
    expect(deleted).toEqual(['STORE_0 7']);
    expect(overruled).toEqual(['queue.0.m.m 101 settled']);
  });

  test('follows at once when it was settled while its state was being stored', async () => {
    const { remember, heard, onStore, flush } = bench();
    const custody = custodyOf('m');
    onStore.push(
      () => {},
      () => {
        // What is said of it now waits for the state that overrules this one.
        expect(remember.mayHaveState(custody)).toBe(true);
        settle(custody, 'stored');
        custody.acks = [ACK];
      },
    );
    remember.add(custody);
    expect(remember.mayHaveState(custody)).toBe(false);
    await flush();
    expect(heard).toEqual(['stored m']);
    expect(remember.idle).toBe(false);
    await flush();
    expect(heard).toEqual(['stored m', 'forgotten m a']);
    expect(remember.idle).toBe(true);
  });

  test('stores nothing for one that was settled while it was being copied, but removes the copy', async () => {
    const { remember, singles, deleted, onStore, flush } = bench();
    const custody = custodyOf('m');
    onStore.push(() => settle(custody, 'stored'));
    remember.add(custody);
    await flush();
    await flush();
    expect(singles.map(({ subject }) => subject)).toEqual(['store.0']);
    expect(deleted).toEqual(['STORE_0 101']);
    expect(remember.idle).toBe(true);
  });

  test('overrules a state that may have been stored, before its data goes', async () => {
    const { remember, singles, answers, deleted, overruled, flush } = bench();
    const custody = custodyOf('m');
    answers.push({ kind: 'stored', sequence: 77, duplicate: false }, { kind: 'unavailable' });
    remember.add(custody);
    await flush();
    settle(custody, 'stored');
    await flush();
    expect(singles).toHaveLength(3);
    expect(singles[2]!.payload).toHaveLength(0);
    expect(overruled).toEqual(['queue.0.m.m 101 settled']);
    expect(deleted).toEqual(['STORE_0 77']);
    expect(remember.idle).toBe(true);
  });
});

describe('a store that fails', () => {
  test('leaves the mail in its pack, and is tried again after a growing pause', async () => {
    const { remember, singles, answers, heard, troubles, flush } = bench();
    answers.push({ kind: 'full' }, { kind: 'full' });
    const custody = custodyOf('m');
    custody.acks = [ACK];
    remember.add(custody);
    await flush();
    await flush(299);
    expect(singles).toHaveLength(1);
    await flush(1);
    await flush(499);
    expect(singles).toHaveLength(2);
    expect(custody.message.ref.stream).toBe('SPOOL_0');
    await flush(300);
    expect(heard).toEqual(['stored m a']);
    expect(troubles).toEqual(Array(2).fill('STORE_0: full; 1 mails stay in their packs'));
  });

  test('does not copy a mail again whose copy is stored', async () => {
    const { remember, singles, answers, heard, flush } = bench();
    answers.push({ kind: 'stored', sequence: 77, duplicate: false }, { kind: 'unavailable' });
    const custody = custodyOf('m');
    custody.acks = [ACK];
    custody.reportPacks = [3];
    remember.add(custody);
    await flush();
    expect(custody).toMatchObject({ acks: [ACK], reportPacks: [3], isStored: false });
    await flush();
    expect(singles.map(({ subject }) => subject)).toEqual(['store.0', 'queue.0.m.m', 'queue.0.m.m']);
    expect(custody.message.ref.sequence).toBe(77);
    expect(heard).toEqual(['stored m a']);
  });

  test('for want of one pack does not hold the others', async () => {
    const { remember, lost, heard, troubles, flush } = bench();
    lost.add(6);
    remember.add(custodyOf('gone', 6));
    remember.add(custodyOf('here', 5));
    await flush();
    expect(heard).toEqual(['missing gone', 'stored here']);
    expect(troubles).toEqual([]);
    expect(remember.idle).toBe(true);
  });

  test('because of the fence ends everything, and removes what nobody will refer to', async () => {
    const { remember, answers, heard, deleted, flush } = bench();
    answers.push({ kind: 'stored', sequence: 77, duplicate: false }, { kind: 'conflict' });
    remember.add(custodyOf('m'));
    await flush();
    expect(heard).toEqual(['fenced']);
    expect(deleted).toEqual(['STORE_0 77']);
  });
});
