// A STORE without any room, with a real nats-server: mail that is deferred stays in its pack and goes its way all the same.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { QueueRig, until } from '#kit/queue-rig.ts';
import type { FakeWorker } from '#kit/queue-worker.ts';
import { callApi } from '#libs/nats/api.ts';

jest.setTimeout(90_000);

let rig: QueueRig;
let worker: FakeWorker;

beforeEach(async () => {
  rig = await QueueRig.start({ policy: { scheduleMs: [1500], expireAfterMs: 9000 } });
  [worker] = await Promise.all([rig.worker(), rig.openQueue()]);
  const info = await callApi<{ config: object }>(rig.link, 'STREAM.INFO.STORE_0', undefined, 3000);
  const config = info.kind === 'ok' ? { ...info.value.config, max_bytes: 64 } : {};
  expect((await callApi(rig.link, 'STREAM.UPDATE.STORE_0', config, 3000)).kind).toBe('ok');
});

afterEach(() => rig.stop());

describe('with STORE full', () => {
  test('a deferred mail is tried again and reported at its expiry, and mail for other hosts is not held up', async () => {
    worker.decide = (_, site) => (site.key.includes('dead') ? 'DEFERRED' : 'RELAYED');
    const [dead] = await rig.accept([{ to: ['a@dead.example'], from: 'me@home.example' }]);
    for (let i = 0; i < 20; i++) await rig.accept([{ to: ['b@alive.example'] }]);
    await until(() => worker.taken.filter(({ site }) => site.key.includes('alive')).length === 20);
    await until(() => worker.jobsOf(dead!).length >= 2);
    await until(() => worker.taken.some(({ site }) => site.key.includes('home')), 40_000);
    await until(() => rig.isEmpty(), 40_000);
    await until(() => worker.unacknowledged.size === 0);
  });
});
