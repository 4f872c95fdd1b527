import { describe, expect, test } from '@jest/globals';
import { mailsOf, packerWith, type Sent, STORED, TestMail, turn } from './packer-bench.ts';

describe('Several streams', () => {
  test('share the mail, also when one at a time comes', async () => {
    const { sent, add } = packerWith({ spoolStreams: 2 });
    for (let i = 0; i < 100; i++) {
      add(new TestMail('x'));
      await turn();
      await sent[i]!.answer(STORED);
    }
    const even = sent.filter(({ record }) => Number(record.subject.slice('spool.'.length)) % 2 === 0);
    expect(even).toHaveLength(50);
  });

  test('of which one is full: the others take what it refused, before what came later (G3, G6)', async () => {
    const { packer, sent, add, passes, machine } = packerWith({ spoolStreams: 2 });
    const [first, other, later] = [new TestMail('1'), new TestMail('2'), new TestMail('3')];
    add(first);
    await turn();
    add(other);
    await turn();
    passes(1);
    add(later);
    await sent[0]!.answer({ kind: 'full' });
    expect([first.heard, packer.waiting, sent.length]).toEqual([[], 2, 2]);
    await sent[1]!.answer(STORED);
    expect(sent[2]!.record.subject).toBe('spool.1');
    expect(mailsOf(sent[2]!)).toHaveLength(2);
    await sent[2]!.answer(STORED);
    expect([first.heard.length, later.heard.length, machine.closed(0, 1_000_001)]).toEqual([1, 1, 'full']);
  });

  test('that are all full: their packs come back in order, and are refused when no stream is left (G6)', async () => {
    const { sent, add, passes } = packerWith({ spoolStreams: 2 });
    const [one, two, gone] = [new TestMail('1'), new TestMail('2'), new TestMail('3')];
    gone.isWanted = false;
    add(one);
    await turn();
    passes(1);
    add(two);
    await turn();
    add(gone);
    await sent[1]!.answer({ kind: 'full' });
    expect([one.heard, two.heard]).toEqual([[], []]);
    await sent[0]!.answer({ kind: 'full' });
    expect([one.heard, two.heard, gone.heard]).toEqual([['full'], ['full'], ['dropped']]);
    add(new TestMail('4'));
    await turn();
    expect(sent).toHaveLength(2);
    passes(1000);
    const probe = new TestMail('5');
    add(probe);
    await turn();
    await sent[2]!.answer(STORED);
    expect(probe.heard).toHaveLength(1);
  });

  test('of which one is silent: its pack is offered to no other (G7), and its next one is a single mail, tried for 3 s', async () => {
    const { sent, add, passes } = packerWith({ spoolStreams: 2 });
    const lost = new TestMail('1');
    add(lost);
    await turn();
    await sent[0]!.answer({ kind: 'unavailable' });
    expect([lost.heard, sent.length]).toEqual([['unavailable'], 1]);
    for (let i = 1; i <= 3; i++) {
      add(new TestMail('x'));
      await turn();
      expect(sent[i]!.record.subject).toBe('spool.1');
      await sent[i]!.answer(STORED);
    }
    passes(1000);
    const isEven = ({ record }: Sent) => Number(record.subject.slice('spool.'.length)) % 2 === 0;
    for (let i = 4; i < 8 && !sent.slice(4).some(isEven); i++) {
      add(new TestMail('x'), new TestMail('y'), new TestMail('z'));
      await turn();
      await sent
        .slice(4)
        .find((one) => !isEven(one))
        ?.answer(STORED);
    }
    const probe = sent.slice(4).find(isEven);
    expect([mailsOf(probe!).length, probe!.record.giveUpAfterMs]).toEqual([1, 3000]);
  });

  test('that is known to store nothing when the wait for a pack ends: its mails hear that it takes nothing', async () => {
    const { sent, add, passes, machine } = packerWith({ spoolStreams: 1 });
    const [lost, probe] = [new TestMail('1'), new TestMail('2')];
    add(lost);
    await turn();
    for (let second = 0; second <= 5; second++) {
      machine.measured(0, { octets: 0, octetsMax: 0, lastSequence: 7 }, 1_000_000);
    }
    await sent[0]!.answer({ kind: 'unavailable' });
    expect(lost.heard).toEqual(['stuck']);
    passes(30_000);
    add(probe);
    await turn();
    await sent[1]!.answer({ kind: 'unavailable' });
    expect(probe.heard).toEqual(['stuck']);
  });

  test('of which one refuses for a reason that lasts: only what was on its way is told 451', async () => {
    const { sent, add } = packerWith({ spoolStreams: 2 });
    const lost = new TestMail('1');
    add(lost);
    await turn();
    await sent[0]!.answer({ kind: 'refused', code: 10109, words: 'invalid operation on sealed stream' });
    expect(lost.heard).toEqual(['unavailable']);
    for (let i = 1; i <= 3; i++) {
      add(new TestMail('x'));
      await turn();
      expect(sent[i]!.record.subject).toBe('spool.1');
      await sent[i]!.answer(STORED);
    }
  });

  test('that store nothing any more although they answer: who waits is told at once', async () => {
    const { packer, machine, sent, add } = packerWith();
    const waits = new TestMail('2');
    add(new TestMail('1'));
    await turn();
    add(waits);
    for (let i = 0; i < 7; i++)
      machine.measured(0, { octets: 1, octetsMax: 100, lastSequence: 7 }, 1_000_000);
    packer.sweep();
    expect([waits.heard, sent.length]).toEqual([['full'], 1]);
  });
});
