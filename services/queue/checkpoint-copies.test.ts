import { describe, expect, test } from '@jest/globals';
import { attemptIdOf } from '#libs/mail/attempt-id.ts';
import { PAYLOAD_OCTETS_MIN, recordMax } from '#libs/nats/payload.ts';
import { Checkpoint } from '#proto/postrider/v1/job.ts';
import { copyOf, partsToCopy } from './checkpoint-copies.ts';

const open = (i: number, positions: number, worker = 'delivery-0123456789ab') => ({
  // The longest that there is.
  attemptId: attemptIdOf({
    queueId: `00mail${String(i).padStart(14, '0')}`,
    number: Number.MAX_SAFE_INTEGER - i,
    epoch: Number.MAX_SAFE_INTEGER,
  }),
  worker,
  recipients: Array.from({ length: positions }, (_, position) => 50_000 - position),
});
const octetsOf = (part: ReturnType<typeof open>[]) => Checkpoint.encode(copyOf(part)).finish().length;

describe('Copies of open checkpoints', () => {
  test.each([
    ['as many attempts as a worker has', 100_000, 0],
    ['attempts for a part of their mails each', 20_000, 10],
    ['attempts for half of the largest mails', 12, 25_000],
    ['attempts for as many recipients as a mail may have', 5, 50_000],
  ])('of %s have room in records of any server that we work with', (_, count, positions) => {
    const all = Array.from({ length: count }, (_, i) => open(i, positions));
    const parts = partsToCopy(all);
    expect(Math.max(...parts.map((part) => octetsOf(part as typeof all)))).toBeLessThan(
      recordMax(PAYLOAD_OCTETS_MIN),
    );
    expect(parts.flat()).toEqual(all);
  });

  test('speak for one worker each', () => {
    const parts = partsToCopy([open(1, 0, 'v'), open(2, 1, 'w'), open(3, 0, 'v')]);
    expect(parts.map(([first]) => first!.worker)).toEqual(['v', 'w']);
    const record = copyOf(parts[1]!);
    expect(record).toMatchObject({ worker: 'w', parts: [{ recipients: [50_000] }] });
    expect(partsToCopy([])).toEqual([]);
  });
});
