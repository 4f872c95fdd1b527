import { describe, expect, test } from '@jest/globals';
import type { Answer } from '#libs/nats/link.ts';
import { Uncounted } from './uncounted.actor.ts';

/** A JetStream with so many records for each subject. */
function bench(stored: Record<string, number>) {
  const clock = { nowMs: 0 };
  const asked: string[] = [];
  const partitions: number[] = [];
  const jetStream = { answers: true };
  const link = {
    request: async (subject: string, payload: Uint8Array): Promise<Answer> => {
      const call = subject.replace('$JS.API.', '').replace(/count-[0-9a-f]+/, 'count');
      asked.push(call);
      if (!jetStream.answers) return { kind: 'timeout' };
      if (call.startsWith('CONSUMER.DELETE'))
        return { kind: 'answer', data: Buffer.from('{"success": true}') };
      const { config } = JSON.parse(Buffer.from(payload).toString());
      const num_pending = stored[config.filter_subject] ?? 0;
      return { kind: 'answer', data: Buffer.from(JSON.stringify({ num_pending })) };
    },
  };
  const uncounted = new Uncounted({
    link,
    layout: { spoolStreams: 2 },
    partitions: () => partitions,
    now: () => clock.nowMs,
  });
  return { uncounted, clock, asked, partitions, jetStream };
}

describe('What no owner counts', () => {
  test('is counted: packs and states, every ten seconds, and each consumer is removed', async () => {
    const { uncounted, clock, asked, partitions } = bench({ 'spool.3': 20, 'queue.3.m.*': 5, 'spool.4': 1 });
    await uncounted.sweep();
    expect([uncounted.records, asked]).toEqual([0, []]);
    partitions.push(3, 4);
    await uncounted.sweep();
    expect(uncounted.records).toBe(26);
    expect(asked.slice(0, 4)).toEqual([
      'CONSUMER.CREATE.SPOOL_1.count.spool.3',
      'CONSUMER.DELETE.SPOOL_1.count',
      'CONSUMER.CREATE.QUEUE.count.queue.3.m.*',
      'CONSUMER.DELETE.QUEUE.count',
    ]);
    clock.nowMs = 9999;
    await uncounted.sweep();
    expect(asked).toHaveLength(8);
    clock.nowMs = 10_000;
    await uncounted.sweep();
    expect(asked).toHaveLength(16);
  });

  test('is none of ours any more when somebody has the partition', async () => {
    const { uncounted, partitions } = bench({ 'spool.0': 7 });
    partitions.push(0);
    await uncounted.sweep();
    expect(uncounted.records).toBe(7);
    partitions.pop();
    expect(uncounted.records).toBe(0);
    await uncounted.sweep();
    partitions.push(0);
    expect(uncounted.records).toBe(0);
  });

  test('stays as it was while JetStream does not answer, and is asked for once at a time', async () => {
    const { uncounted, clock, asked, partitions, jetStream } = bench({ 'spool.0': 7 });
    partitions.push(0);
    await Promise.all([uncounted.sweep(), uncounted.sweep()]);
    expect(asked).toHaveLength(4);
    clock.nowMs = 60_000;
    jetStream.answers = false;
    await uncounted.sweep();
    expect(uncounted.records).toBe(7);
  });
});
