import { describe, expect, test } from '@jest/globals';
import type { Got } from '#libs/nats/direct-get.ts';
import { encodeFrame } from '#libs/pack/pack.ts';
import type { Envelope } from '#proto/postrider/v1/mail.ts';
import { newCustody } from './custody.ts';
import { Interned } from './interned.ts';
import { messageFromPack } from './message.ts';
import { readAllRecipients, readRecipients } from './recipients-read.ts';

function frameOf(sequence: number, forwardPaths: string[]): Buffer {
  const envelope = {
    queueId: `00mail${sequence}`,
    reversePath: '',
    forwardPaths,
    acceptedAtMs: 1,
    chunks: [],
  };
  const rest = { bodyType: 0, clientAddress: '', clientName: '', protocol: '', hasDotLines: false };
  const whole = { ...envelope, ...rest } as unknown as Envelope;
  return Buffer.concat(encodeFrame({ envelope: whole, prepended: Buffer.alloc(0), data: [] }));
}

/** Unlisted mails 1 to `count`; `said` is what JetStream says instead of a record. */
function bench(count: number, said: ReadonlyMap<number, Got | Promise<Got>> = new Map()) {
  const frames = new Map<number, Buffer>();
  const custodies = Array.from({ length: count }, (_, i) => {
    const frame = frameOf(i + 1, ['a@a.example', 'b@b.example']);
    frames.set(i + 1, frame);
    const place = { offset: 0, length: frame.length };
    const entry = { queueId: `00mail${i + 1}`, ...place, acceptedAtMs: 1, domains: [], size: 1 };
    const ref = { stream: 'SPOOL_0', sequence: i + 1, ...place };
    const message = messageFromPack({ ...entry, nullReversePath: false, trace: undefined }, ref, []);
    return newCustody(message, { sequence: i + 1, entry: 0 }, 0);
  });
  let atATime = 0;
  let most = 0;
  const bySequence = async (_: string, sequence: number): Promise<Got> => {
    atATime += 1;
    most = Math.max(most, atATime);
    await Promise.resolve();
    atATime -= 1;
    const other = said.get(sequence);
    if (other !== undefined) return other;
    const data = frames.get(sequence)!;
    return { kind: 'found', record: { sequence, subject: '', data, header: () => undefined } };
  };
  const source = { direct: { bySequence }, interned: new Interned(), onTrouble: () => {} };
  return { custodies, source, frames, most: () => most };
}

describe('recipients that no index lists', () => {
  test('are read of many mails at a time, and one that cannot be read keeps no other', async () => {
    const said = new Map<number, Got>([
      [3, { kind: 'unavailable' }],
      [7, { kind: 'missing' }],
    ]);
    const { custodies, source, most } = bench(100, said);
    const left = await readAllRecipients(custodies, source);
    expect(left.map(({ message }) => message.queueId)).toEqual(['00mail3']);
    expect(most()).toBeGreaterThan(1);
    const listed = custodies.filter(({ message }) => message.recipients.length === 2);
    expect(listed).toHaveLength(98);
  });

  test('are missing when the envelope is gone or names nobody', async () => {
    const said = new Map<number, Got>([[1, { kind: 'missing' }]]);
    const { custodies, source, frames } = bench(3, said);
    const nobody = frameOf(2, []);
    frames.set(2, nobody);
    custodies[1]!.message.ref = { ...custodies[1]!.message.ref, length: nobody.length };
    const read: string[] = [];
    for (const custody of custodies) read.push(await readRecipients(custody, source));
    expect(read).toEqual(['missing', 'missing', 'read']);
    expect(custodies[2]!.message.recipients.map(({ domain }) => domain)).toEqual(['a.example', 'b.example']);
  });
});
