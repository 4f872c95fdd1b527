import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { QuarantineAdminCalls } from '#libs/rpc/quarantine-admin.ts';
import { type QueueAdminServer, serveQueueAdmin } from '#libs/rpc/queue-admin.ts';
import type { AsideRecord } from '#proto/postrider/v1/admin.ts';
import { run } from './command-line.ts';

const NOW_MS = 1_795_000_000_000;
const RECORD: AsideRecord = {
  number: 7,
  stream: 'SPOOL_0',
  sequence: 4711,
  subject: 'spool.0',
  why: 'no Postrider-Index',
  asideAtMs: NOW_MS - 3_600_000,
  size: 3,
  data: Buffer.alloc(0),
};

let server: QueueAdminServer | undefined;

afterEach(() => server?.stop());

async function postrider(args: string[], over: Partial<QuarantineAdminCalls> = {}) {
  server = await serveQueueAdmin({
    address: '127.0.0.1',
    port: 0,
    list: async () => ({
      mails: [],
      summary: { mails: 0, phases: [], instances: 1, answered: 1, clocks: undefined, partitionsMissed: 0 },
    }),
    flush: async () => ({ recipients: 0, instances: 1, answered: 1, partitionsMissed: 0 }),
    traces: {
      force: async () => ({ kind: 'invalid', reason: '' }),
      listForced: async () => [],
      stop: async () => false,
    },
    quarantine: {
      list: async () => [RECORD],
      show: async (number) => (number === 7 ? { ...RECORD, data: Buffer.from('abc') } : undefined),
      drop: async (number) => number === 7,
      ...over,
    },
  });
  const said = { out: '', err: '', code: -1 };
  said.code = await run(['node', 'postrider', 'quarantine', ...args], {
    env: { POSTRIDER_ADMIN: `127.0.0.1:${server.port}` },
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    now: () => NOW_MS,
  });
  return said;
}

describe('postrider quarantine', () => {
  test('lists what could not be read, with where it was and why', async () => {
    const { out } = await postrider(['ls']);
    const [headings, row] = out.split('\n');
    expect(headings).toMatch(/^NUMBER +SINCE +WAS +SUBJECT +OCTETS +WHY$/);
    expect(row).toMatch(/^7 +.*1 h.* ago +SPOOL_0 4711 +spool\.0 +3 +no Postrider-Index$/);
  });

  test('says that there is nothing', async () => {
    expect((await postrider(['ls'], { list: async () => [] })).out).toBe('Nothing is in quarantine.\n');
  });

  test('shows one, and gives its octets', async () => {
    const { out } = await postrider(['show', '7']);
    expect(out.split('\n')[2]).toBe(Buffer.from('abc').toString('base64'));
    await server?.stop();
    const file = join(mkdtempSync(join(tmpdir(), 'postrider-aside-')), 'octets');
    expect((await postrider(['show', '7', '--output', file])).code).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe('abc');
  });

  test('drops one', async () => {
    expect((await postrider(['drop', '7'])).out).toBe('Record 7 is gone.\n');
  });

  test.each([
    [['show', '8'], 'postrider: there is no record 8 in quarantine\n'],
    [['drop', '8'], 'error: there is no record 8; postrider quarantine ls lists them.\n'],
    [['show', 'x'], 'expected a number, as ls lists it.'],
  ])('%s is refused', async (args, words) => {
    const said = await postrider(args);
    expect(said.err).toContain(words);
    expect(said.code).toBe(1);
  });
});
