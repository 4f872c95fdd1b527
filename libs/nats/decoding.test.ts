import { afterEach, describe, expect, test } from '@jest/globals';
import { OutcomeAck, Presence } from '#proto/postrider/v1/job.ts';
import { listen, onUnreadable, readMessage, readParts, type Unreadable } from './decoding.ts';
import type { Incoming } from './link.ts';

const NONSENSE = Buffer.from([0x0f, 0xff, 0xff, 0xff]);
const ACK = { partition: 3, epoch: 4, attemptIds: ['a'], cancelled: [], adopted: [] };

function watched(): Unreadable[] {
  const dropped: Unreadable[] = [];
  onUnreadable((message) => dropped.push(message));
  return dropped;
}

afterEach(() => onUnreadable(() => {}));

describe('A message that comes in over NATS', () => {
  test('is read', () => {
    const dropped = watched();
    expect(readMessage(OutcomeAck, OutcomeAck.encode(ACK).finish(), 'outcome-ack.w')).toEqual(ACK);
    expect(dropped).toEqual([]);
  });

  test('and is no protobuf is dropped, and told by the kind of its subject only', () => {
    const dropped = watched();
    expect(readMessage(OutcomeAck, NONSENSE, 'outcome-ack.w')).toBeUndefined();
    expect(dropped).toEqual([{ kind: 'outcome-ack', octets: 4, reason: expect.stringMatching(/Error/) }]);
  });

  test('and says what cannot be is dropped alike', () => {
    const dropped = watched();
    const flawOf = ({ instance }: Presence) => (instance === '' ? 'nobody' : undefined);
    expect(readMessage({ ...Presence, flawOf }, Buffer.alloc(0), 'presence.queue')).toBeUndefined();
    expect(dropped).toEqual([{ kind: 'presence', octets: 0, reason: 'nobody' }]);
  });

  test('loses those of its parts that cannot be, which is told once, and no others', () => {
    const dropped = watched();
    const message = { subject: 'deliver.3', data: NONSENSE };
    const flawOf = (n: number) => (n < 0 ? `${n} is below zero` : undefined);
    expect(readParts([1, 2], flawOf, message)).toEqual([1, 2]);
    expect(dropped).toEqual([]);
    expect(readParts([1, -2, 3, -4], flawOf, message)).toEqual([1, 3]);
    expect(dropped).toEqual([{ kind: 'deliver', octets: 4, reason: '2 of 4 parts: -2 is below zero' }]);
  });

  test('is not heard by a subscriber when it cannot be read; the next one is', () => {
    const dropped = watched();
    const heard: [OutcomeAck, string][] = [];
    const hearers: ((message: Incoming) => void)[] = [];
    const groups: object[] = [];
    const link = {
      subscribe: (_: string, hear: (message: Incoming) => void, options: object = {}) => {
        hearers.push(hear);
        groups.push(options);
        return { unsubscribe: () => {}, drain: async () => {} };
      },
    };
    const onMessage = (message: OutcomeAck, { reply }: Incoming) => heard.push([message, reply]);
    listen(link, { subject: 'outcome-ack.w', wire: OutcomeAck, onMessage });
    listen(link, { subject: 'deliver.1', wire: OutcomeAck, onMessage, workerGroup: 'delivery' });
    const hear = hearers[0]!;
    hear({ subject: 'outcome-ack.w', data: NONSENSE, reply: '' });
    hear({ subject: 'outcome-ack.w', data: OutcomeAck.encode(ACK).finish(), reply: 'r' });
    expect(heard).toEqual([[ACK, 'r']]);
    expect(dropped).toHaveLength(1);
    expect(groups).toEqual([{}, { workerGroup: 'delivery' }]);
  });
});
