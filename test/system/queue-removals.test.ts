// How states that were replaced are removed, as a nats-server hears it: by their number, which costs it the least.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, until } from '#kit/queue-rig.ts';

jest.setTimeout(60_000);

const MAILS = 20;
const DEFERRALS = 3;

let rig: QueueRig;

beforeEach(async () => {
  rig = await QueueRig.start({ policy: { scheduleMs: [1000] } });
});

afterEach(() => rig.stop());

describe('A state of a mail that is deferred again', () => {
  test('is removed by its number', async () => {
    let purges = 0;
    let deletions = 0;
    rig.link.subscribe('$JS.API.STREAM.PURGE.QUEUE', ({ data }) => {
      if (Buffer.from(data).includes('.m.')) purges += 1;
    });
    rig.link.subscribe('$JS.API.STREAM.MSG.DELETE.QUEUE', () => {
      deletions += 1;
    });
    const worker = await rig.worker();
    worker.decide = ({ attempts }) => (attempts < DEFERRALS ? 'DEFERRED' : 'RELAYED');
    await rig.openQueue();
    await rig.accept(Array.from({ length: MAILS }, (_, i) => ({ to: [`r${i}@grey.example`] })));
    await until(() => worker.taken.length === MAILS * (DEFERRALS + 1), 30_000);
    await until(() => rig.isEmpty());
    expect({ purges }).toEqual({ purges: 0 });
    expect(deletions).toBeGreaterThanOrEqual(MAILS * DEFERRALS);
  });
});
