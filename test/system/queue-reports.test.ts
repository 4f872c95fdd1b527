import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { framesOf, QueueRig, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { subjects } from '#libs/nats/layout.ts';
import type { StoredRecord } from '#libs/nats/reading.ts';
import type { RecordWriter } from '#libs/nats/records.ts';

jest.setTimeout(60_000);

let rig: QueueRig;
let worker: FakeWorker;

async function start(policy = {}): Promise<void> {
  rig = await QueueRig.start({ policy });
  worker = await rig.worker();
}

afterEach(() => rig.stop());

/** Reports among these packs. */
function reportsIn(packs: StoredRecord[]) {
  return packs
    .flatMap((pack) => framesOf(pack))
    .filter(({ envelope }) => envelope.reversePath === '' && envelope.protocol === 'local')
    .map(({ envelope, data }) => ({ envelope, text: Buffer.from(data).toString('latin1') }));
}

/** The reports that are stored now, when there are so many. */
async function reports(count: number) {
  await until(async () => reportsIn(await rig.packs()).length >= count);
  return reportsIn(await rig.packs());
}

/** The next record for this subject is held up before it is sent. */
function standsStill(writer: RecordWriter, subject: string) {
  const store = writer.store.bind(writer);
  const [reached, goneOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let stored: ReturnType<typeof store> | undefined;
  writer.store = async (record) => {
    if (record.subject !== subject || stored !== undefined) return store(record);
    reached.resolve();
    stored = goneOn.promise.then(() => store(record));
    return stored;
  };
  const now = async () => {
    goneOn.resolve();
    expect((await stored)?.kind).toBe('stored');
  };
  return { reached: reached.promise, now };
}

const FROM = 'me@home.example';
const BUSY = { code: 451, enhanced: '4.3.0', text: 'busy', host: 'mx' };
const isReport = (site: { key: string }) => site.key === 'smtp:home.example:25';

describe('a mail that fails', () => {
  beforeEach(() => start());

  test('is reported to its sender, recipient by recipient, and then forgotten', async () => {
    worker.decide = (_, site) => {
      if (isReport(site)) return 'keep';
      return site.key.includes('bad') ? 'FAILED' : 'RELAYED';
    };
    await rig.openQueue();
    const text = 'Subject: hello there\r\n\r\nbody\r\n';
    const [queueId] = await rig.accept([{ to: ['a@bad.example', 'b@ok.example'], from: FROM, text }]);
    const [report, more] = await reports(1);
    expect(more).toBeUndefined();
    expect(report!.envelope.forwardPaths).toEqual([FROM]);
    expect(report!.text).toContain(`To: <${FROM}>\r\n`);
    expect(report!.text).toContain(
      'Final-Recipient: rfc822; a@bad.example\r\nAction: failed\r\nStatus: 5.1.1\r\n',
    );
    expect(report!.text).toContain(
      'Remote-MTA: dns; mx\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n',
    );
    expect(report!.text).toContain('Received: from rig\r\nSubject: hello there\r\n');
    expect(report!.text).not.toContain('b@ok.example');
    expect(report!.text).toContain(queueId);
    const job = await worker.job((one) => one.queueId === report!.envelope.queueId);
    worker.finish(job, 'RELAYED');
    await until(() => rig.isEmpty());
    expect(worker.unacknowledged.size).toBe(0);
  });

  test('and has a null reverse-path is not reported', async () => {
    worker.decide = () => 'FAILED';
    await rig.openQueue();
    await rig.accept([{ to: ['a@bad.example'], from: '' }]);
    await until(() => worker.acknowledged.length === 1);
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(1);
  });

  test('whose report fails as well is over', async () => {
    worker.decide = () => 'FAILED';
    await rig.openQueue();
    await rig.accept([{ to: ['a@bad.example'], from: FROM }]);
    await until(() => worker.acknowledged.length === 2);
    await until(() => rig.isEmpty());
    expect(worker.taken).toHaveLength(2);
  });

  test('is not reported twice when its owner dies in between', async () => {
    worker.decide = (_, site) => (isReport(site) ? 'keep' : 'FAILED');
    const first = await rig.openQueue();
    const mails = Array.from({ length: 20 }, (_, i) => ({ to: [`u${i}@bad.example`], from: FROM }));
    await rig.accept(mails);
    await until(async () => (await rig.packs()).length >= 2);
    await first.kill();
    await rig.openQueue();
    await until(() => worker.unacknowledged.size === 0);
    const stored = await reports(20);
    expect(new Set(stored.map(({ envelope }) => envelope.queueId)).size).toBe(20);
    expect(stored).toHaveLength(20);
  });

  test('is not reported again by an owner that was replaced while it stored the report', async () => {
    worker.decide = (_, site) => (isReport(site) ? 'RELAYED' : 'keep');
    const first = await rig.openQueue();
    const [one, other] = await rig.accept([
      { to: ['a@bad.example'], from: FROM },
      { to: ['b@bad.example'], from: FROM },
    ]);
    // It stands still just before it stores the first report, and goes on when all is over.
    const goOn = standsStill(first.context.writer, subjects.spool(0));
    worker.finish(await worker.job(({ queueId }) => queueId === one), 'FAILED');
    await goOn.reached;
    first.seemDead();
    const second = await rig.openQueue();
    worker.finish(await worker.job(({ queueId }) => queueId === other), 'FAILED');
    await until(() => worker.taken.filter(({ site }) => isReport(site)).length === 2);
    await until(() => second.queue.partitions.get(0)!.mails.size === 0);
    const before = (await rig.packs()).length;
    await goOn.now();
    await until(async () => (await rig.packs()).length > before || (await rig.isEmpty()));
    await until(() => rig.isEmpty());
    expect(worker.taken.filter(({ site }) => isReport(site))).toHaveLength(2);
  });

  test('in chunks is reported with its header section', async () => {
    worker.decide = (_, site) => (isReport(site) ? 'keep' : 'FAILED');
    await rig.openQueue();
    const chunks = [
      await rig.chunk(Buffer.from('Subject: large\r\n\r\nbody')),
      await rig.chunk(Buffer.from('x')),
    ];
    await rig.accept([{ to: ['a@bad.example'], from: FROM, chunks }]);
    const [report] = await reports(1);
    expect(report!.text).toContain('Received: from rig\r\nSubject: large\r\n');
  });

  test('for 1,200 recipients is reported in three mails', async () => {
    worker.decide = (_, site) => (isReport(site) ? 'keep' : 'FAILED');
    await rig.openQueue();
    const to = Array.from({ length: 1200 }, (_, i) => `u${i}@bad.example`);
    await rig.accept([{ to, from: FROM, unlisted: true }]);
    const stored = await reports(3);
    const told = stored.flatMap(({ text }) => text.match(/^Final-Recipient: rfc822; .*(?=\r)/gm) ?? []);
    expect(new Set(told).size).toBe(1200);
    expect(told).toHaveLength(1200);
  });
});

describe('a mail that cannot be delivered in time', () => {
  test('is reported as failed when it expires', async () => {
    await start({ expireAfterMs: 2500 });
    worker.decide = (_, site) => (isReport(site) ? 'keep' : 'DEFERRED');
    await rig.openQueue();
    await rig.accept([{ to: ['a@busy.example'], from: FROM }]);
    const [report] = await reports(1);
    expect(report!.text).toContain('Action: failed\r\nStatus: 4.4.7\r\n');
    expect(report!.text).toContain('451 4.3.0 busy');
    await until(async () => (await rig.states()).length === 0);
  });

  test('is not looked at by an owner that may have been replaced', async () => {
    await start({ scheduleMs: [30_000] });
    worker.decide = () => 'DEFERRED';
    const { queue, desk, context } = await rig.openQueue();
    await rig.accept([{ to: ['a@busy.example'], from: FROM }]);
    await until(async () => (await rig.states()).length === 1);
    const partition = queue.partitions.get(0)!;
    const [custody] = partition.mails.all();
    const later = context.now() + 11_000;
    desk.freeze(partition);
    partition.tick(later);
    expect(custody!.message.hasStayed).toBe(false);
    desk.thaw(partition);
    partition.tick(later);
    expect(custody!.message.hasStayed).toBe(true);
  });

  test('is reported as failed although its site never takes work', async () => {
    await start({ expireAfterMs: 2500 });
    worker.decide = (job, site) => {
      if (isReport(site)) return 'keep';
      const siteKey = site.key;
      worker.status(job.partition, {
        siteKey,
        window: 0,
        suspendedUntilMs: 0,
        suspendedForMs: 300,
        reason: BUSY,
      });
      return 'RETURNED';
    };
    await rig.openQueue();
    await rig.accept([{ to: ['a@busy.example'], from: FROM }]);
    const [report] = await reports(1);
    expect(report!.text).toContain('Action: failed\r\nStatus: 4.4.7\r\n');
  });

  test('is reported as delayed once, and goes on', async () => {
    await start({ delayWarningAfterMs: 1000, scheduleMs: [4000] });
    worker.decide = (job, site) => {
      if (isReport(site)) return 'keep';
      return job.attempts === 0 ? 'DEFERRED' : 'RELAYED';
    };
    const first = await rig.openQueue();
    await rig.accept([{ to: ['a@busy.example'], from: FROM }]);
    const [report] = await reports(1);
    expect(report!.text).toContain('Subject: Mail delivery is delayed\r\n');
    expect(report!.text).toContain('Action: delayed\r\nStatus: 4.3.0\r\n');
    expect(report!.text).toMatch(/Will-Retry-Until: .* \+0000\r\n/);
    await worker.job((job) => job.attempts === 1);
    await until(async () => (await rig.states()).length === 0);
    expect(await reports(1)).toHaveLength(1);
    expect(first.troubles).toEqual([]);
  });
});
