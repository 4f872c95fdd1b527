import { afterEach, describe, expect, test } from '@jest/globals';
import { type DnsTestServer, startDnsServer } from '#kit/dns-server.ts';
import type { ZoneName } from '#kit/dns-server-zone.ts';
import { DnsClient, type DnsClientOptions } from '#libs/dns/dns-client.ts';
import { serverAddressOf } from '#libs/dns/server-address.ts';

const ADDRESS = { kind: 'found', records: ['192.0.2.1'], ttlMs: 300_000 };

class Observed {
  readonly counts: Record<string, number> = {};
  asked = (transport: string) => this.#count(transport);
  stray = () => this.#count('stray');
  answered = (kind: string) => this.#count(kind);
  cacheHit = () => this.#count('hit');
  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

const open: { close(): unknown }[] = [];
let nowMs = 0;

async function serve(names: Record<string, ZoneName>): Promise<DnsTestServer> {
  const server = await startDnsServer(names);
  open.push(server);
  return server;
}

function clientOf(servers: string[], more: Partial<DnsClientOptions> = {}) {
  const observer = new Observed();
  const client = new DnsClient({
    servers: servers.map((server) => serverAddressOf(server)!),
    timeoutMs: 150,
    tries: 3,
    cacheEntriesMax: 100,
    ttlMaxMs: 3_600_000,
    negativeTtlMaxMs: 900_000,
    now: () => nowMs,
    observer,
    ...more,
  });
  open.push(client);
  return { client, counts: observer.counts };
}

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  nowMs = 0;
});

describe('a DNS client', () => {
  const names = {
    'a.test': { A: ['192.0.2.1'] },
    'v6.test': { AAAA: ['2001:db8::1', '2001:db8::2'] },
    'mail.test': { MX: ['20 MX2.test', '10 mx1.test'] },
    'alias.test': { CNAME: 'two.test', ttl: 50 },
    'two.test': { CNAME: 'a.test' },
    'nowhere.test': { CNAME: 'gone.example' },
    'ring.test': { CNAME: 'ring.test' },
  };

  test('tells records, their absence and the absence of the name apart', async () => {
    const server = await serve(names);
    const { client } = clientOf([server.address]);
    expect(await client.ask('A.test.', 'A')).toEqual(ADDRESS);
    expect(await client.ask('v6.test', 'AAAA')).toMatchObject({ records: ['2001:db8::1', '2001:db8::2'] });
    expect(await client.ask('mail.test', 'MX')).toMatchObject({
      records: [
        { preference: 20, exchanger: 'mx2.test' },
        { preference: 10, exchanger: 'mx1.test' },
      ],
    });
    expect(await client.ask('a.test', 'MX')).toEqual({ kind: 'nodata', ttlMs: 60_000 });
    expect(await client.ask('gone.test', 'A')).toEqual({ kind: 'nxdomain', ttlMs: 60_000 });
  });

  test('follows aliases inside the answer, with the least of their lives', async () => {
    const { client } = clientOf([(await serve(names)).address]);
    expect(await client.ask('alias.test', 'A')).toEqual({ ...ADDRESS, ttlMs: 50_000 });
    expect(await client.ask('nowhere.test', 'A')).toMatchObject({ kind: 'nxdomain' });
    expect(await client.ask('ring.test', 'A')).toEqual({ kind: 'trouble', reason: 'malformed' });
  });

  test('asks once for a name, and again when its life is over', async () => {
    const server = await serve(names);
    const { client, counts } = clientOf([server.address]);
    const answers = await Promise.all([1, 2, 3].map(() => client.ask('a.test', 'A')));
    expect(answers).toEqual([ADDRESS, ADDRESS, ADDRESS]);
    nowMs = 100_000;
    expect(client.known('a.test', 'A')).toEqual({ ...ADDRESS, ttlMs: 200_000 });
    expect(server.asked('a.test')).toBe(1);
    expect(counts).toEqual({ udp: 1, found: 1, hit: 1 });
    nowMs = 300_000;
    expect(client.known('a.test', 'A')).toBeUndefined();
    await client.ask('a.test', 'A');
    expect(server.asked('a.test')).toBe(2);
    expect(client.cacheEntries).toBe(1);
  });

  test('knows localhost and impossible names without a question', async () => {
    const server = await serve(names);
    const { client } = clientOf([server.address]);
    expect(await client.ask('localhost', 'A')).toMatchObject({ records: ['127.0.0.1'] });
    expect(await client.ask('localhost', 'MX')).toMatchObject({ kind: 'nodata' });
    expect(await client.ask(`${'x'.repeat(64)}.test`, 'A')).toMatchObject({ kind: 'nxdomain' });
    expect(server.questions).toEqual([]);
  });

  test('takes a long answer over TCP', async () => {
    const many = Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`);
    const server = (await serve({ 'many.test': { A: many } })).script('many.test', 'truncate');
    const { client, counts } = clientOf([server.address]);
    expect(await client.ask('many.test', 'A')).toMatchObject({ kind: 'found', records: many });
    expect(counts).toEqual({ udp: 1, tcp: 1, found: 1 });
    server.script('many.test', 'truncate-always');
    nowMs = 300_000;
    expect(await client.ask('many.test', 'A')).toEqual({ kind: 'trouble', reason: 'malformed' });
  });

  test('is in trouble when a long answer is cut short', async () => {
    const server = (await serve(names)).script('a.test', 'cut');
    const { client } = clientOf([server.address], { tries: 1 });
    expect(await client.ask('a.test', 'A')).toEqual({ kind: 'trouble', reason: 'timeout' });
  });

  test('is deaf to forged answers', async () => {
    const server = (await serve(names)).script('a.test', 'forge').script('v6.test', 'wrong-id');
    const { client, counts } = clientOf([server.address], { tries: 1 });
    expect(await client.ask('a.test', 'A')).toEqual(ADDRESS);
    expect(counts).toMatchObject({ stray: 4 });
    expect(await client.ask('v6.test', 'A')).toEqual({ kind: 'trouble', reason: 'timeout' });
  });

  test.each([
    ['servfail', 'servfail'],
    ['refused', 'refused'],
    ['referral', 'refused'],
    ['badvers', 'refused'],
    ['formerr', 'malformed'],
    ['garbage', 'malformed'],
    ['silent', 'timeout'],
  ] as const)('calls %s trouble, and asks the next server', async (trouble, reason) => {
    const [bad, good] = [(await serve(names)).script('*', trouble), await serve(names)];
    expect(await clientOf([bad.address]).client.ask('a.test', 'A')).toEqual({ kind: 'trouble', reason });
    const { client } = clientOf([bad.address, good.address]);
    expect(await client.ask('a.test', 'A')).toEqual(ADDRESS);
    // The one that answered is asked first from now on.
    const before = bad.questions.length;
    await client.ask('v6.test', 'AAAA');
    expect(bad.questions.length).toBe(before);
  });

  test('asks a silent server again, one in trouble not', async () => {
    const [silent, failing] = [
      (await serve(names)).script('*', 'silent'),
      (await serve(names)).script('*', 'servfail'),
    ];
    const { client } = clientOf([silent.address, failing.address], { tries: 5, timeoutMs: 50 });
    expect(await client.ask('a.test', 'A')).toEqual({ kind: 'trouble', reason: 'timeout' });
    expect([silent.asked('a.test'), failing.asked('a.test')]).toEqual([4, 1]);
  });

  test('keeps trouble for a second only', async () => {
    const server = (await serve(names)).script('*', 'servfail');
    const { client } = clientOf([server.address]);
    await client.ask('a.test', 'A');
    server.script('*', undefined);
    nowMs = 999;
    expect(await client.ask('a.test', 'A')).toMatchObject({ kind: 'trouble' });
    nowMs = 1000;
    expect(await client.ask('a.test', 'A')).toEqual(ADDRESS);
  });

  test('hears at once that nobody listens', async () => {
    const server = await serve(names);
    await server.close();
    const { client } = clientOf([server.address], { timeoutMs: 20_000 });
    expect(await client.ask('a.test', 'A')).toEqual({ kind: 'trouble', reason: 'unreachable' });
    await server.listen();
    nowMs = 1000;
    expect(await client.ask('a.test', 'A')).toEqual(ADDRESS);
  });

  test('has a limited number of questions out, and answers all', async () => {
    const server = await serve({ test: { A: ['192.0.2.1'] } });
    server.delayMs = 20;
    const { client } = clientOf([server.address], { questionsMax: 5, timeoutMs: 5000 });
    const asking = Array.from({ length: 30 }, (_, i) => client.ask(`n${i}.test`, 'A'));
    expect(client.questions).toBe(30);
    const answers = await Promise.all(asking);
    expect(answers.every(({ kind }) => kind === 'nxdomain')).toBe(true);
    expect(client.questions).toBe(0);
  });

  test('refuses questions when too many wait', async () => {
    const server = (await serve(names)).script('*', 'silent');
    const { client } = clientOf([server.address], {
      questionsMax: 1,
      waitingMax: 1,
      tries: 1,
      timeoutMs: 50,
    });
    const answers = await Promise.all(['a', 'b', 'c'].map((name) => client.ask(`${name}.test`, 'A')));
    expect(answers.map((answer) => answer.kind === 'trouble' && answer.reason)).toEqual([
      'timeout',
      'timeout',
      'busy',
    ]);
  });

  test('changes its ports', async () => {
    const server = await serve(names);
    const { client } = clientOf([server.address], { timeoutMs: 5000, cacheEntriesMax: 10 });
    for (let i = 0; i < 50; i++) {
      await Promise.all(Array.from({ length: 40 }, (_, k) => client.ask(`n${i}-${k}.test`, 'A')));
    }
    const ports = new Set(server.questions.map(({ from }) => from));
    expect(server.questions).toHaveLength(2000);
    expect(ports.size).toBeGreaterThanOrEqual(10);
    expect(client.cacheEntries).toBe(10);
  });

  test('ends what is out when it is closed', async () => {
    const server = (await serve(names)).script('*', 'silent').script('v6.test', 'truncate');
    const { client } = clientOf([server.address], { timeoutMs: 20_000 });
    const asking = [client.ask('a.test', 'A'), client.ask('b.test', 'A')];
    client.close();
    expect((await Promise.all(asking)).map((answer) => answer.kind)).toEqual(['trouble', 'trouble']);
    expect(await client.ask('c.test', 'A')).toEqual({ kind: 'trouble', reason: 'unreachable' });
  });
});
