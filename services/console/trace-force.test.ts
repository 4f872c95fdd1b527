import { describe, expect, test } from '@jest/globals';
import { serveQueueAdmin } from '#libs/rpc/queue-admin.ts';
import type { TraceAdminCalls } from '#libs/rpc/trace-admin.ts';
import { run } from './command-line.ts';

const NOW_MS = Date.parse('2026-11-25T08:00:00Z');
const HOUR_MS = 3_600_000;
const RULES = [
  { name: 'b.test', madeAtMs: NOW_MS - 60_000, untilMs: NOW_MS + 2 * HOUR_MS, reason: '' },
  { name: 'alice@a.test', madeAtMs: NOW_MS, untilMs: NOW_MS + HOUR_MS, reason: 'late\u001b[2J mail' },
];

const heard: object[] = [];

/** Runs a command against a queue with these answers. */
async function postrider(line: string, over: Partial<TraceAdminCalls> = {}) {
  heard.length = 0;
  const traces: TraceAdminCalls = {
    force: async (request) => {
      heard.push(request);
      return { kind: 'forced', rule: { ...request, madeAtMs: NOW_MS, untilMs: NOW_MS + request.forMs } };
    },
    listForced: async () => RULES,
    stop: async (name) => {
      heard.push({ stop: name });
      return true;
    },
    ...over,
  };
  const summary = { mails: 0, phases: [], instances: 1, answered: 1, clocks: undefined, partitionsMissed: 0 };
  const server = await serveQueueAdmin({
    address: '127.0.0.1',
    port: 0,
    list: async () => ({ mails: [], summary }),
    flush: async () => ({ recipients: 0, instances: 1, answered: 1, partitionsMissed: 0 }),
    traces,
    quarantine: { list: async () => [], show: async () => undefined, drop: async () => false },
  });
  const said = { out: '', err: '', code: -1 };
  const argv = ['node', 'postrider', ...line.split(' ')];
  said.code = await run(argv, {
    env: { POSTRIDER_ADMIN: `127.0.0.1:${server.port}` },
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    now: () => NOW_MS,
  });
  await server.stop();
  return said;
}

describe('postrider trace force', () => {
  test('asks for an hour, and says until when', async () => {
    expect(await postrider('trace force Alice@A.test')).toEqual({
      out: 'Mail from or to Alice@A.test is traced until 2026-11-25 09:00:00 UTC (for 1 h).\n',
      err: '',
      code: 0,
    });
    expect(heard).toEqual([{ name: 'Alice@A.test', forMs: HOUR_MS, reason: '' }]);
  });

  test('asks for as long as it is told to', async () => {
    await postrider('trace force b.test --for 30min --reason late');
    expect(heard).toEqual([{ name: 'b.test', forMs: HOUR_MS / 2, reason: 'late' }]);
  });

  test.each(['1year', '8d', '0s', 'soon', '-1h'])('refuses to last for %s', async (time) => {
    const { code, err } = await postrider(`trace force b.test --for ${time}`);
    expect([code, heard]).toEqual([1, []]);
    expect(err).toContain('expected a time from 1 s to 7 d, such as "30 min".');
  });

  test.each(['invalid', 'full'] as const)('says in one line why the queue refuses: %s', async (kind) => {
    const said = await postrider('trace force b.test', {
      force: async () => ({ kind, reason: 'no, since' }),
    });
    expect(said).toEqual({ out: '', err: 'postrider: no, since\n', code: 1 });
  });

  test('says in one line that the queue cannot do it now', async () => {
    const force = () => Promise.reject(new Error('JetStream does not answer'));
    const { err, code } = await postrider('trace force b.test', { force });
    expect(err).toMatch(/^postrider: the queue at [^ ]+ refused: JetStream does not answer\n$/);
    expect(code).toBe(1);
  });
});

describe('postrider trace ls', () => {
  test('lists the rules, those that end first first, without what a terminal would act on', async () => {
    expect((await postrider('trace ls')).out).toBe(
      [
        'TRACED        FOR ANOTHER  SINCE      REASON',
        'alice@a.test  1 h          0 s ago    late?[2J mail',
        'b.test        2 h          1 min ago  -',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await postrider('trace ls --json')).out)).toEqual(RULES);
  });

  test('says that there are none', async () => {
    const { out } = await postrider('trace ls', { listForced: async () => [] });
    expect(out).toBe('No mail is traced by rule.\n');
  });
});

describe('postrider trace stop', () => {
  test('stops a rule', async () => {
    const { out, code } = await postrider('trace stop B.test');
    expect([out, code]).toEqual(['Mail of b.test is traced by ratio again.\n', 0]);
    expect(heard).toEqual([{ stop: 'B.test' }]);
  });

  test('fails when there is no such rule', async () => {
    const { err, code } = await postrider('trace stop c.test', { stop: async () => false });
    expect([err, code]).toEqual(['error: no rule names c.test; postrider trace ls lists them.\n', 1]);
  });
});
