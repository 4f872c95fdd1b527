import { describe, expect, test } from '@jest/globals';
import { partitionOf } from '#libs/mail/queue-id.ts';
import type { Stored } from '#libs/nats/records.ts';
import { decodeFrame } from '#libs/pack/pack.ts';
import { mailsOf, packerWith, STORED, TestMail, turn } from './packer-bench.ts';

describe('Packs', () => {
  test('hold the mails of one turn, byte for byte, under ids of their partition', async () => {
    const { sent, add } = packerWith();
    const [one, two] = [new TestMail('first\r\n'), new TestMail('second\r\n', ['a@x', 'b@x', 'c@Y'])];
    add(one, two);
    expect(sent).toHaveLength(0);
    await turn();
    expect(sent).toHaveLength(1);
    const { record } = sent[0]!;
    const payload = Buffer.concat(record.payload as Buffer[]);
    const frames = mailsOf(sent[0]!).map((entry) => {
      const frame = decodeFrame(payload, entry.offset, entry.length);
      expect(frame.envelope.queueId).toBe(entry.queueId);
      expect(entry.size).toBe(frame.prepended.length + frame.data.length);
      return frame;
    });
    expect(frames.map(({ data }) => Buffer.from(data).toString())).toEqual(['first\r\n', 'second\r\n']);
    expect(Buffer.from(frames[0]!.prepended).toString()).toBe(
      `Received: from client.example ([192.0.2.1])\r\n\tby mx.example with ESMTP id ${frames[0]!.envelope.queueId};\r\n\tThu, 01 Jan 1970 00:16:40 +0000\r\n`,
    );
    expect(mailsOf(sent[0]!)[1]!.domains).toEqual([
      { domain: 'x', count: 2 },
      { domain: 'y', count: 1 },
    ]);
    expect([one.heard, two.heard]).toEqual([[], []]);
    await sent[0]!.answer(STORED);
    expect([one.heard, two.heard]).toEqual(frames.map(({ envelope }) => [envelope.queueId]));
    expect(record.subject).toBe(`spool.${partitionOf(one.heard[0]!)}`);
  });

  test('are one at a time per stream; what comes meanwhile joins the next (G1, G3)', async () => {
    const { packer, sent, add } = packerWith();
    add(new TestMail('1'));
    await turn();
    add(new TestMail('2'), new TestMail('3'));
    await turn();
    add(new TestMail('4'));
    await turn();
    expect([sent.length, packer.waiting]).toEqual([1, 3]);
    await sent[0]!.answer(STORED);
    expect([sent.length, packer.waiting]).toEqual([2, 0]);
    expect(mailsOf(sent[1]!)).toHaveLength(3);
  });

  test('use every stream that is idle', async () => {
    const { sent, add } = packerWith({ spoolStreams: 2 });
    add(new TestMail('1'));
    await turn();
    add(new TestMail('2'));
    await turn();
    expect(sent.map(({ record }) => record.subject)).toEqual(['spool.0', 'spool.1']);
    const ids = sent.map(({ record }) => record.id);
    expect(new Set(ids).size).toBe(2);
  });

  test('are 512 KiB at most, and a larger mail is one by itself', async () => {
    const { sent, add } = packerWith();
    const big = 200 * 1024;
    add(new TestMail(big), new TestMail(big), new TestMail(big), new TestMail(3 * big), new TestMail(1));
    await turn();
    for (let i = 0; i < 4; i++) await sent[i]!.answer(STORED);
    expect(sent.map((one) => mailsOf(one).length)).toEqual([2, 1, 1, 1]);
  });

  test.each([256, 320, 1024])(
    'fit with their index into a message of a server that takes %d KiB',
    async (kib) => {
      const { sent, add } = packerWith({ payloadMax: kib * 1024 });
      add(...Array.from({ length: 1500 }, () => new TestMail(600)));
      await turn();
      for (let i = 0; i < sent.length; i++) await sent[i]!.answer(STORED);
      expect(sent.flatMap(mailsOf)).toHaveLength(1500);
      for (const { record } of sent) {
        const octets =
          Buffer.concat(record.payload as Buffer[]).length + record.headers!['Postrider-Index']!.length;
        expect(octets).toBeLessThan(kib * 1024 - 1024);
      }
    },
  );

  test('have an index that fits into a header', async () => {
    const { sent, add } = packerWith();
    const paths = (count: number) => Array.from({ length: count }, (_, i) => `r@domain-number-${i}.example`);
    add(...Array.from({ length: 2000 }, () => new TestMail('x', paths(3))));
    add(new TestMail('x', paths(1000)), new TestMail('x'));
    await turn();
    for (let i = 0; i < sent.length; i++) await sent[i]!.answer(STORED);
    const entries = sent.flatMap(mailsOf);
    expect(entries).toHaveLength(2002);
    expect(entries[2000]!.domains).toEqual([]);
    expect(entries[2001]!.domains).toHaveLength(1);
    const lengths = sent.map(({ record }) => record.headers!['Postrider-Index']!.length);
    expect(Math.max(...lengths)).toBeLessThan(48 * 1024);
  });

  test('carry the trace of their first mail that has one', async () => {
    const { sent, add } = packerWith();
    const traced = new TestMail('x');
    traced.trace = { traceId: Buffer.alloc(16, 0xab), spanId: Buffer.alloc(8, 0xcd), flags: 1 };
    add(new TestMail('x'), traced);
    await turn();
    expect(sent[0]!.record.headers!.traceparent).toBe(`00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`);
    expect(mailsOf(sent[0]!).map(({ trace }) => trace?.flags)).toEqual([undefined, 1]);
  });

  test('leave out mails whose client has gone', async () => {
    const { sent, add } = packerWith();
    const [gone, here] = [new TestMail('gone'), new TestMail('here')];
    gone.isWanted = false;
    add(gone);
    await turn();
    expect([gone.heard, sent.length]).toEqual([['dropped'], 0]);
    add(here);
    await turn();
    expect(mailsOf(sent[0]!)).toHaveLength(1);
  });
});

describe('A pack that is not stored', () => {
  test.each<[Stored | Error, string]>([
    [{ kind: 'too-big' }, 'too-big'],
    [{ kind: 'unavailable' }, 'unavailable'],
    [{ kind: 'conflict' }, 'unavailable'],
    [new Error('bug'), 'unavailable'],
  ])('(%j) tells its mails, and the next pack follows (G2)', async (stored, trouble) => {
    const { sent, troubles, add, link } = packerWith();
    const [lost, next] = [new TestMail('1'), new TestMail('2')];
    add(lost);
    await turn();
    add(next);
    link.connected = false; // the stream is not to blame
    await sent[0]!.answer(stored);
    expect([lost.heard, next.heard, sent.length]).toEqual([[trouble], [], 2]);
    expect(troubles.length).toBeGreaterThan(0);
    await sent[1]!.answer(STORED);
    expect(next.heard).toHaveLength(1);
  });

  test('because it is too big is stored mail by mail, and only what is too big by itself is refused (G5)', async () => {
    const { sent, troubles, add } = packerWith();
    const [one, huge, three, gone, later] = ['1', '2', '3', '4', '5'].map((data) => new TestMail(data));
    add(one!, huge!, three!, gone!);
    await turn();
    add(later!);
    gone!.isWanted = false;
    await sent[0]!.answer({ kind: 'too-big' });
    expect([one!.heard, huge!.heard]).toEqual([[], []]);
    await sent[1]!.answer(STORED);
    await sent[2]!.answer({ kind: 'too-big' });
    await sent[3]!.answer(STORED);
    await sent[4]!.answer(STORED);
    expect(sent.map((pack) => mailsOf(pack).length)).toEqual([4, 1, 1, 1, 1]);
    expect([huge!.heard, gone!.heard]).toEqual([['too-big'], ['dropped']]);
    for (const mail of [one, three, later]) expect(mail!.heard[0]).toHaveLength(20);
    expect(troubles).toHaveLength(2);
  });

  test('takes those with it that have waited as long; the others get their time (G4)', async () => {
    const { sent, add, passes, link } = packerWith();
    link.connected = false;
    const [first, old, young] = [new TestMail('1'), new TestMail('2'), new TestMail('3')];
    add(first);
    await turn();
    add(old);
    passes(25_000);
    add(young);
    expect(sent[0]!.record.giveUpAfterMs).toBe(30_000);
    passes(5_000);
    await sent[0]!.answer({ kind: 'unavailable' });
    expect([old.heard, young.heard]).toEqual([['unavailable'], []]);
    expect(sent[1]!.record.giveUpAfterMs).toBe(25_000);
  });

  test('is tried for a second at least', async () => {
    const { sent, add, passes } = packerWith();
    add(new TestMail('1'));
    await turn();
    add(new TestMail('2'));
    passes(29_900);
    await sent[0]!.answer(STORED);
    expect(sent[1]!.record.giveUpAfterMs).toBe(1000);
  });

  test('does not hold up the others for ever when it hangs', async () => {
    const { packer, add, passes } = packerWith();
    const waits = new TestMail('2');
    add(new TestMail('1'));
    await turn();
    add(waits);
    passes(29_999);
    packer.sweep();
    expect(waits.heard).toEqual([]);
    passes(1);
    packer.sweep();
    expect([waits.heard, packer.waiting]).toEqual([['unavailable'], 0]);
  });
});
