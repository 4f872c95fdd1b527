// An operator forces the traces of an address or a domain while the cluster runs: real processes, the real command line.
import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TracedCluster } from '#kit/traced-cluster.ts';
import { connectTraceAdmin } from '#libs/rpc/trace-admin-client.ts';

const MINUTE = 60_000;
/** How soon every ingress must obey. */
const HEARD_WITHIN_MS = 1000;
/** Spans are handed on once a second; those that are not there by then were not made. */
const EXPORTED_WITHIN_MS = 3000;

const postrider = fileURLToPath(new URL('../../services/console/postrider.ts', import.meta.url));

let traced: TracedCluster;

beforeAll(async () => {
  traced = await TracedCluster.start({ sampleRatio: 0 }, { ingress: 2, queue: 2 });
}, MINUTE);

afterAll(() => traced.stop(), MINUTE);

async function trace(args: string[], queue = 0): Promise<string> {
  const line = [postrider, 'trace', ...args, '--admin', traced.cluster.adminAddress(queue)];
  return (await promisify(execFile)(process.execPath, line)).stdout;
}

const refused = (args: string[]) => expect(trace(args)).rejects;

/** Names of the spans of a mail. */
const spansOf = (queueId: string) =>
  traced.receiver.spans
    .filter(({ attributes }) => attributes['mail.queue_id'] === queueId)
    .map(({ name }) => name);

const WHOLE = ['smtp accept', 'deliver attempt', 'queue outcome'];

/** Resolves when the mail's trace is whole, its beginning at ingress included. */
const untilTraced = (queueId: string) =>
  traced.receiver.waitFor(() => WHOLE.every((name) => spansOf(queueId).includes(name)));

/** Sends through an ingress; resolves when the mail's trace is whole. */
async function sendTraced(recipient: string, ingress = 0): Promise<void> {
  await untilTraced(await traced.send(recipient, { ingress }));
}

describe('An operator who forces traces', () => {
  test(
    'of an address has its mail traced by every ingress a second later, and that of nobody else',
    async () => {
      const said = await trace(['force', 'VIP@routed.test', '--for', '10 min', '--reason', 'late mail']);
      expect(said).toMatch(/^Mail from or to vip@routed\.test is traced until .* \(for 10 min\)\.\n$/);
      await pause(HEARD_WITHIN_MS);
      const others = await Promise.all([
        traced.send('other@routed.test'),
        traced.send('other@routed.test', { ingress: 1 }),
      ]);
      await sendTraced('vip@routed.test', 0);
      await sendTraced('Vip@Routed.test', 1);
      const sent = await traced.send('other@routed.test', { reversePath: 'vip@routed.test' });
      await untilTraced(sent);
      await pause(EXPORTED_WITHIN_MS);
      for (const other of others) expect(spansOf(other)).toEqual([]);
    },
    MINUTE,
  );

  test(
    'has them after an ingress was killed and started again, from its first mail on, and lists them at any queue',
    async () => {
      await traced.cluster.kill('ingress', 0);
      await traced.cluster.restart('ingress', 0);
      await sendTraced('vip@routed.test');
      for (const queue of [0, 1])
        expect(await trace(['ls'], queue)).toMatch(/^vip@routed\.test +9 min .*late mail$/m);
    },
    MINUTE,
  );

  test(
    'has them until they are over or stopped',
    async () => {
      await trace(['force', 'routed.test', '--for', '2 s'], 1);
      await pause(HEARD_WITHIN_MS);
      await sendTraced('anybody@routed.test', 1);
      await pause(2000);
      const late = await traced.send('anybody@routed.test', { ingress: 1 });
      expect(await trace(['ls'])).not.toContain('\nrouted.test');
      expect(await trace(['stop', 'vip@routed.test'], 1)).toContain(
        'vip@routed.test is traced by ratio again',
      );
      await pause(HEARD_WITHIN_MS);
      const stopped = await traced.send('vip@routed.test');
      await pause(EXPORTED_WITHIN_MS);
      expect([spansOf(late), spansOf(stopped)]).toEqual([[], []]);
      expect(await trace(['ls'])).toBe('No mail is traced by rule.\n');
    },
    MINUTE,
  );

  test('is told what is no rule', async () => {
    await refused(['force', '@routed.test']).toMatchObject({
      code: 1,
      stderr:
        'postrider: "@routed.test" is neither an address (alice@example.com) nor a domain (example.com)\n',
    });
    await refused(['stop', 'nobody@routed.test']).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no rule names nobody@routed.test'),
    });
  });

  test(
    'of a hundred names cannot have one more, also when many ask at once',
    async () => {
      const queues = [0, 1].map((queue) => connectTraceAdmin(traced.cluster.adminAddress(queue)));
      const force = (i: number) =>
        queues[i % 2]!.force({ name: `d${i}.routed.test`, forMs: MINUTE, reason: '' });
      for (let i = 0; i < 98; i++) await force(i);
      await Promise.all([force(98), force(99)]);
      await expect(force(100)).rejects.toThrow('there are 100 rules already');
      expect(await queues[0]!.listForced()).toHaveLength(100);
      for (const queue of queues) queue.close();
    },
    MINUTE,
  );
});
