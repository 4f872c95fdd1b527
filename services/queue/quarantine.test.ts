import { describe, expect, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import type { RecordToStore, Stored } from '#libs/nats/records.ts';
import { Quarantine } from './quarantine.actor.ts';

function bench() {
  const clock = { nowMs: 1_000_000 };
  const copies: RecordToStore[] = [];
  const answers: Stored[] = [];
  const said: string[] = [];
  const aside: number[] = [];
  const got: { kind: Got['kind'] } = { kind: 'found' };
  const quarantine = new Quarantine({
    partition: 3,
    now: () => clock.nowMs,
    direct: {
      bySequence: async (_, sequence): Promise<Got> => {
        if (got.kind !== 'found') return { kind: got.kind };
        const header = (name: string) => (name === 'Postrider-Index' ? 'AAA\r\né' : undefined);
        return {
          kind: 'found',
          record: { sequence, subject: 'spool.3', data: Buffer.from('octets'), header },
        };
      },
    },
    writer: {
      store: async (record) => {
        const answer = answers.shift() ?? { kind: 'stored', sequence: 1, duplicate: false };
        if (answer.kind === 'stored') copies.push(record);
        return answer;
      },
    },
    onQuarantined: (what) => said.push(what),
    onTrouble: (reason) => said.push(reason),
  });
  const add = (sequence: number) =>
    quarantine.add({
      stream: 'SPOOL_0',
      sequence,
      why: 'odd\nwire type',
      onAside: () => aside.push(sequence),
    });
  const sweep = async (afterMs = 1000) => {
    clock.nowMs += afterMs;
    await quarantine.sweep(clock.nowMs);
  };
  return { quarantine, copies, answers, said, aside, got, add, sweep };
}

describe('a record that cannot be read', () => {
  test('is copied, with where it was and why, and only then forgotten', async () => {
    const { copies, aside, said, add, sweep } = bench();
    add(7);
    await sweep();
    expect(copies).toEqual([
      {
        subject: 'quarantine.3',
        payload: Buffer.from('octets'),
        id: 'aside-SPOOL_0-7',
        headers: {
          'Postrider-Was-Stream': 'SPOOL_0',
          'Postrider-Was-Sequence': '7',
          'Postrider-Was-Subject': 'spool.3',
          'Postrider-Why': 'odd?wire type',
          'Postrider-Aside-At-Ms': '1001000',
          'Postrider-Index': 'AAA???',
        },
        giveUpAfterMs: 5000,
      },
    ]);
    expect(aside).toEqual([7]);
    expect(said).toEqual(['record 7 of SPOOL_0 cannot be read (odd?wire type): it is in quarantine']);
  });

  test('stays where it is while there is no room for its copy, and so do the others', async () => {
    const { quarantine, copies, answers, aside, said, add, sweep } = bench();
    answers.push({ kind: 'full' }, { kind: 'unavailable' });
    add(7);
    add(8);
    await sweep();
    expect([copies.length, aside, said.length]).toEqual([0, [], 1]);
    await sweep(500);
    expect(answers).toHaveLength(1);
    await sweep(1000);
    await sweep(4000);
    expect(aside.sort()).toEqual([7, 8]);
    expect(quarantine.waiting).toBe(0);
  });

  test('is not copied again by the next owner within minutes', async () => {
    const { answers, aside, said, add, sweep } = bench();
    answers.push({ kind: 'stored', sequence: 1, duplicate: true });
    add(7);
    await sweep();
    expect([aside, said]).toEqual([[7], []]);
  });

  test('is done with when it is gone, and waited for when nobody answers', async () => {
    const { copies, aside, got, add, sweep } = bench();
    got.kind = 'unavailable';
    add(7);
    await sweep();
    expect(aside).toEqual([]);
    got.kind = 'missing';
    await sweep(2000);
    expect([aside, copies]).toEqual([[7], []]);
  });

  test('is copied as it was read, when it was', async () => {
    const { quarantine, copies, got, sweep } = bench();
    got.kind = 'missing';
    const record = { subject: 'queue.3.m.x', data: Buffer.from('state'), header: () => undefined };
    quarantine.add({ stream: 'QUEUE', sequence: 5, why: 'no', record });
    await sweep();
    expect(copies).toMatchObject([{ payload: Buffer.from('state'), id: 'aside-QUEUE-5' }]);
  });
});
