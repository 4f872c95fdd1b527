// One process of a real cluster has a wrong clock: every other one shows it, and the operator is told whose it is.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from '#kit/cluster.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { connectQueueAdmin } from '#libs/rpc/queue-admin-client.ts';
import { listingText } from '../../services/console/listing-text.ts';

const HOOK = new URL('../kit/process-hook.ts', import.meta.url);
const BEHIND_MS = 12_300;
const GAUGE = /^postrider_clock_skew_seconds\b.* (\S+)$/m;

let cluster: Cluster;

beforeAll(async () => {
  HOOK.searchParams.set('shift', String(-BEHIND_MS));
  cluster = await Cluster.start({
    instances: { queue: 2 },
    nodeOptionsOf: (service, index) => (service === 'queue' && index === 1 ? ['--import', HOOK.href] : []),
  });
}, 60_000);

afterAll(() => cluster?.stop(), 30_000);

async function shownBy(service: 'queue' | 'delivery', index: number): Promise<number> {
  const text = await (await fetch(cluster.metricsUrl(service, index))).text();
  return Number(GAUGE.exec(text)?.[1]);
}

test.each([
  ['queue', 0],
  ['queue', 1],
  ['delivery', 0],
] as const)(
  '%s %d shows by how much',
  async (service, index) => {
    const isNear = async () => Math.abs((await shownBy(service, index)) - BEHIND_MS / 1000) < 1;
    await waitUntil(isNear, 30_000, 'the gauge');
  },
  40_000,
);

test.each([0, 1])(
  'the operator is told whose it is by queue %d',
  async (index) => {
    const admin = connectQueueAdmin(cluster.adminAddress(index));
    const listing = await admin.list({ domain: '', limit: 1 });
    admin.close();
    expect(listingText(listing, Date.now())).toMatch(
      /^CLOCKS differ by up to 1[123]\.\d s \(queue-\w+ is behind\)\.$/m,
    );
  },
  20_000,
);
