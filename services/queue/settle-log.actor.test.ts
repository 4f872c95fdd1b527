import { describe, expect, test } from '@jest/globals';
import { freeRounds } from '#kit/free-rounds.ts';
import type { Link } from '#libs/nats/link.ts';
import type { Stored } from '#libs/nats/records.ts';
import { SettleBatch } from '#proto/postrider/v1/mail.ts';
import { type Custody, newCustody } from './custody.ts';
import { messageFromPack } from './message.ts';
import { SettleLog } from './settle-log.actor.ts';

const ACK = { worker: 'w', attemptId: 'a' };

/** The log of one partition, with a JetStream that answers what the test wants. */
function bench(packKeptMs = 0) {
  const lines: unknown[] = [];
  const answers: Stored[] = [];
  const purges: string[] = [];
  const untrimmed: string[] = [];
  const durable: [number, string[]][] = [];
  const troubles: string[] = [];
  const failed: string[] = [];
  const clock = { nowMs: 0 };
  const link = {
    request: async (subject: string, payload: Uint8Array) => {
      const { filter, seq } = JSON.parse(Buffer.from(payload).toString()) as { filter: string; seq: number };
      purges.push(`${subject.split('.').at(-1)} ${filter} < ${seq}`);
      return { kind: 'answer', data: Buffer.from('{}') } as const;
    },
  } as unknown as Link;
  const log = new SettleLog({
    partition: 0,
    link,
    layout: { spoolStreams: 1 },
    rounds: freeRounds(() => clock.nowMs, failed),
    onTrouble: (reason: string) => troubles.push(reason),
    packKeptMs,
    onUntrimmed: (reason) => untrimmed.push(reason),
    writer: {
      store: async ({ payload }) => {
        const answer =
          answers.shift() ?? ({ kind: 'stored', sequence: lines.length + 1, duplicate: false } as const);
        if (answer.kind === 'stored') lines.push(SettleBatch.decode(payload as Uint8Array).packs);
        return answer;
      },
    },
    onDurable: (custodies, acks) => durable.push([custodies.length, acks.map(({ attemptId }) => attemptId)]),
  });
  return { log, lines, answers, purges, durable, troubles, failed, clock };
}

function custodyIn(sequence: number, entry = 0): Custody {
  const place = { offset: 0, length: 1 };
  const index = { queueId: `${sequence}.${entry}`, ...place, acceptedAtMs: 0, domains: [], size: 1 };
  const ref = { stream: 'SPOOL_0', sequence, ...place };
  const message = messageFromPack({ ...index, nullReversePath: false, trace: undefined }, ref, []);
  return newCustody(message, { sequence, entry }, 0);
}

describe('the settle log', () => {
  test('stores a line for each mail once, and says when it is stored', async () => {
    const { log, lines, durable } = bench();
    log.ledger.add(5, 2, []);
    const custody = custodyIn(5, 1);
    log.add(custody, [ACK]);
    log.add(custody, []);
    expect(custody.line).toBe('given');
    expect(log.idle).toBe(false);
    await log.flush();
    expect(lines).toEqual([[{ sequence: 5, entries: [1] }]]);
    expect(durable).toEqual([[1, ['a']]]);
    expect(custody.line).toBe('stored');
    expect(log.idle).toBe(true);
    await log.flush();
    expect(lines).toHaveLength(1);
  });

  test('keeps what cannot be stored, and acknowledges nothing of it until it can', async () => {
    const { log, lines, answers, durable, troubles, failed, clock } = bench();
    answers.push({ kind: 'refused', code: 10109, words: 'invalid operation on sealed stream' });
    log.ledger.add(5, 1, []);
    log.ledger.add(6, 1, []);
    log.add(custodyIn(5), [ACK]);
    await log.flush();
    expect(durable).toEqual([]);
    expect(troubles).toEqual([
      'SETTLE: refused: invalid operation on sealed stream (10109); 1 packs wait for their lines',
    ]);
    expect(failed).toEqual(['SETTLE']);
    log.add(custodyIn(6), [{ ...ACK, attemptId: 'b' }]);
    await log.flush();
    expect(lines).toHaveLength(0);
    clock.nowMs += 250;
    await log.flush();
    expect(lines).toHaveLength(1);
    expect(durable).toEqual([[2, ['a', 'b']]]);
  });

  test('cuts very many lines into records', async () => {
    const { log, lines, durable } = bench();
    for (let sequence = 1; sequence <= 10_000; sequence++) {
      log.ledger.add(sequence, 1, []);
      log.add(custodyIn(sequence), []);
    }
    await log.flush();
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.flat()).toHaveLength(10_000);
    expect(durable).toEqual([[10_000, []]]);
  });

  test('removes packs some time after they were settled, and their lines long after', async () => {
    const { log, purges } = bench(45_000);
    log.ledger.add(5, 1, []);
    log.add(custodyIn(5), []);
    await log.flush();
    await log.trim(1000);
    await log.trim(45_999);
    expect(purges).toEqual([]);
    await log.trim(46_000);
    expect(purges).toEqual(['SPOOL_0 spool.0 < 6']);
    await log.trim(195_999);
    expect(purges).toHaveLength(1);
    await log.trim(196_000);
    expect(purges).toEqual(['SPOOL_0 spool.0 < 6', 'SETTLE settle.0 < 2']);
  });

  test('keeps the lines of packs that are still there, those of an earlier owner, too', async () => {
    const { log, purges } = bench();
    log.loaded(1, 4);
    log.loaded(2, 7);
    log.ledger.add(6, 1, []);
    await log.trim(1000);
    expect(purges).toEqual(['SPOOL_0 spool.0 < 6']);
    await log.trim(200_000);
    expect(purges).toEqual(['SPOOL_0 spool.0 < 6', 'SETTLE settle.0 < 2']);
  });

  test('does not remove a pack that was pinned after it was settled', async () => {
    const { log, purges } = bench(10_000);
    log.ledger.add(5, 1, [0]);
    await log.trim(0);
    log.ledger.pin(3);
    await log.trim(10_000);
    expect(purges).toEqual(['SPOOL_0 spool.0 < 3']);
  });
});
