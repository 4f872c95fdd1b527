// What was put aside because nobody can read it, as the operator sees it, with a real nats-server.
import { afterEach, expect, test } from '@jest/globals';
import { QueueRig, until } from '#kit/queue-rig.ts';
import { subjects } from '#libs/nats/layout.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { QuarantineDesk } from '../../services/queue/quarantine-desk.actor.ts';

let rig: QueueRig | undefined;

afterEach(() => rig?.stop());

test('A record that cannot be read is shown to the operator, who drops it', async () => {
  const started = await QueueRig.start();
  rig = started;
  const [first] = await Promise.all([started.openQueue(), started.worker()]);
  const nonsense = { subject: subjects.spool(0), payload: Buffer.from([0x0f, 0xff, 0x07]), id: '' };
  const stored = await new RecordWriter(started.link).store({ ...nonsense, giveUpAfterMs: 5000 });
  expect(stored.kind).toBe('stored');
  await until(() => first.quarantined.length === 1);
  const desk = new QuarantineDesk(first.context);
  desk.start();
  const [listed] = await desk.list();
  expect(listed).toMatchObject({
    stream: 'SPOOL_0',
    subject: 'spool.0',
    why: 'no Postrider-Index',
    size: 3,
  });
  expect([...(await desk.show(listed!.number))!.data]).toEqual([0x0f, 0xff, 0x07]);
  await until(() => desk.count === 1);
  desk.stop();
  expect(await desk.drop(listed!.number)).toBe(true);
  expect(await desk.drop(listed!.number)).toBe(false);
  expect(await desk.list()).toEqual([]);
}, 60_000);
