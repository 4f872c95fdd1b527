import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { LOCAL, Stage } from '#kit/cluster-stage.ts';

const HOOK = new URL('../kit/process-hook.ts', import.meta.url);
/** Of the two ingresses: one is a little ahead of all others, one as far behind as a machine may be that has just started. */
const AHEAD = 0;
const BEHIND = 1;
const SHIFT_MS = [1000, -300_000];
const EXPIRE_AFTER_S = 12;

let stage: Stage;

beforeAll(async () => {
  stage = await Stage.open({
    instances: { ingress: SHIFT_MS.length },
    config: { retry: { schedule: ['1 s'], delayWarningAfter: '3 s', expireAfter: `${EXPIRE_AFTER_S} s` } },
    routes: [{ domain: 'down.test', to: '127.0.0.1:1' }],
    nodeOptionsOf: (service, index) => {
      if (service !== 'ingress') return [];
      HOOK.searchParams.set('shift', String(SHIFT_MS[index]));
      return ['--import', HOOK.href];
    },
  });
}, 60_000);

afterAll(() => stage?.close(), 60_000);

/** What the reports in a Maildir say of the mail with that recipient. */
function actions(local: string, recipient: string): string[] {
  const reports = stage.maildir(local).map((report) => report.toString('latin1'));
  return reports
    .filter((report) => report.includes(recipient))
    .map((report) => /^Action: (\S+)\r$/m.exec(report)?.[1] ?? '');
}

describe('A mail that an ingress accepted whose clock is ahead', () => {
  test('for a host that is down is reported as late, then as failed, in time', async () => {
    await stage.send({ to: 'a@down.test', reversePath: `bob@${LOCAL}`, ingress: AHEAD });
    const failed = () => (actions('bob', 'a@down.test').includes('failed') ? true : undefined);
    await stage.cluster.until('the report of its expiry', failed, (EXPIRE_AFTER_S + 8) * 1000);
    expect(actions('bob', 'a@down.test').sort()).toEqual(['delayed', 'failed']);
  }, 40_000);
});

describe('A mail that an ingress accepted whose clock is far behind', () => {
  test('is tried before it expires', async () => {
    const before = stage.sink.taken;
    await stage.send({ to: '450@sink.test', reversePath: `alice@${LOCAL}`, ingress: BEHIND });
    await stage.send({ to: 'good@sink.test', reversePath: `alice@${LOCAL}`, ingress: BEHIND });
    await stage.relayed(before + 1);
    const tried = () => (stage.sink.seen.has('450@sink.test') ? true : undefined);
    await stage.cluster.until('an attempt of the other one', tried);
    await stage.settled();
    expect(actions('alice', 'good@sink.test')).toEqual([]);
  }, 40_000);
});

describe('A mail that has waited longer than it may while no queue ran', () => {
  test('is tried before it expires', async () => {
    const before = stage.sink.taken;
    await stage.cluster.kill('queue');
    await stage.send({ to: 'late@sink.test', reversePath: `alice@${LOCAL}`, ingress: BEHIND });
    await stage.cluster.restart('queue');
    await stage.relayed(before + 1);
    await stage.settled();
    expect(actions('alice', 'late@sink.test')).toEqual([]);
  }, 40_000);
});
