import { describe, expect, test } from '@jest/globals';
import { receive } from './message.machine.ts';
import { messageFromPack } from './message.ts';

const POLICY = { scheduleMs: [1], expireAfterMs: 2, delayWarningAfterMs: 1, inDoubt: 'redeliver' } as const;
const PLACE = { offset: 0, length: 1 };
const ENTRY = { queueId: 'q', ...PLACE, acceptedAtMs: 0, domains: [], size: 1, trace: undefined };

describe('a message that is adopted from an earlier owner', () => {
  test('is out again, but for recipients that have their fate', () => {
    const ref = { stream: 'SPOOL_0', sequence: 1, ...PLACE };
    const message = messageFromPack({ ...ENTRY, nullReversePath: false }, ref, ['a.example', 'b.example']);
    message.recipients[1]!.phase = 'done';
    const adopted = { kind: 'adopted', positions: [0, 1, 5], siteKey: 'smtp:mx:25' } as const;
    receive(message, adopted, { ...POLICY, scheduleMs: [1] });
    expect(message.phase).toBe('active');
    expect(message.recipients.map(({ phase }) => phase)).toEqual(['attempting', 'done']);
  });
});
