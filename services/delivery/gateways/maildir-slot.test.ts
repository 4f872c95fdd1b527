import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DeliveryRig, type RigMail } from '#kit/delivery-rig.ts';
import { OutcomeKind } from '#proto/postrider/v1/job.ts';
import { Transport } from '#proto/postrider/v1/route.ts';
import type { Carrier } from '../carrier.ts';

let root: string;
let rig: DeliveryRig;
let slot: Carrier;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'maildir-'));
  rig = new DeliveryRig();
  slot = await rig.openReady({ transport: Transport.MAILDIR, maildir: join(root, '{domain}', '{local}') });
});

afterEach(async () => {
  await rig.close();
  await rm(root, { recursive: true });
});

async function mailsOf(local: string): Promise<string[]> {
  const directory = join(root, 'y.test', local, 'new');
  const names = await readdir(directory);
  return Promise.all(names.map((name) => readFile(join(directory, name), 'latin1')));
}

describe('a slot of the Maildir gateway', () => {
  test.each<RigMail>([{}, { chunkSize: 5 }])('stores a mail behind its trace fields (%j)', async (how) => {
    const event = await rig.carry(slot, { ...how, data: 'Subject: x\r\n\r\n.caf\xe9\r\n' });
    expect(event).toMatchObject({
      kind: 'finished',
      connectionIs: 'reusable',
      outcome: { kind: OutcomeKind.DELIVERED, recipients: [], reply: { code: 250, enhanced: '2.0.0' } },
    });
    expect(await mailsOf('r')).toEqual([
      'Return-Path: <s@x.test>\r\nDelivered-To: r@y.test\r\nX-Trace: 1\r\nSubject: x\r\n\r\n.caf\xe9\r\n',
    ]);
    expect(rig.passed).toHaveLength(1);
  });

  test('stores it for each recipient of the job, with one checkpoint', async () => {
    await rig.carry(slot, { to: ['a@y.test', 'b@y.test', 'c@y.test'], recipients: [0, 2] });
    expect(await readdir(join(root, 'y.test'))).toEqual(['a', 'c']);
    expect(rig.passed).toHaveLength(1);
  });

  test('defers a recipient whose Maildir cannot be written, not the others', async () => {
    await rig.carry(slot, {});
    await writeFile(join(root, 'y.test', 'file'), '');
    const event = await rig.carry(slot, { to: ['file@y.test', 'b@y.test'] });
    expect(event).toMatchObject({
      outcome: {
        kind: OutcomeKind.DEFERRED,
        recipients: [
          {
            recipient: 0,
            kind: OutcomeKind.DEFERRED,
            reply: { code: 451, text: expect.stringContaining('ENOTDIR') },
          },
          { recipient: 1, kind: OutcomeKind.DELIVERED, reply: { code: 250 } },
        ],
      },
    });
  });

  test.each(['its checkpoint is refused', 'the worker has no lease'])(
    'stores nothing when %s',
    async (why) => {
      if (why === 'the worker has no lease') rig.lease = 'ended';
      else rig.refusal = 'fenced';
      const event = await rig.carry(slot, { to: ['a@y.test', 'b@y.test'] });
      expect(event).toMatchObject({ connectionIs: 'reusable', outcome: { kind: OutcomeKind.RETURNED } });
      expect(await mailsOf('a')).toEqual([]);
      expect(rig.passed).toHaveLength(1);
    },
  );

  test('stores nothing more once it is destroyed, and knows what it has stored', async () => {
    rig.gate = 'closed';
    const attempt = rig.attempt({ to: ['a@y.test', 'b@y.test'] });
    slot.carry(attempt);
    while (rig.passed.length === 0) await new Promise((done) => setTimeout(done, 5));
    expect([slot.destroy(), attempt.dot]).toEqual([[], 'ahead']);
    rig.openGate();
    await new Promise((done) => setTimeout(done, 50));
    expect([await mailsOf('a'), attempt.dot]).toEqual([[], 'ahead']);
  });

  test('gives a mail of which something is missing back, and says why', async () => {
    for (const part of [0, -1]) {
      const attempt = rig.attempt({ chunkSize: 100 });
      rig.lost.add(attempt.job.ref!.sequence + part);
      slot.carry(attempt);
      const event = await rig.event();
      const outcome = { kind: OutcomeKind.RETURNED, contentMissing: true };
      expect(event).toMatchObject({ connectionIs: 'reusable', outcome });
    }
    expect(rig.passed).toEqual([]);
  });

  test('tells nothing after goodbye', async () => {
    slot.sweep(0);
    slot.quit();
    slot.carry(rig.attempt({}));
    slot.destroy();
    await rig.carry(await rig.openReady({ transport: Transport.MAILDIR, maildir: join(root, 'x') }), {});
    expect(rig.unread).toBe(0);
  });
});
