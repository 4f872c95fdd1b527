import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { configSchema } from '#libs/config/schema.ts';
import type { DnsAnswer, RecordOf, RecordType } from '#libs/dns/answer.ts';
import { Turnstile } from '#libs/dns/turnstile.ts';
import type { Decision } from './domain.actor.ts';
import { Domains } from './domains.actor.ts';
import { tableOf } from './route-table.ts';

const POLICY = {
  table: tableOf(
    configSchema.parse({ localDomains: [{ name: 'home.example', gateway: { maildir: '/m' } }] }),
  ),
  ownName: 'us.example',
  search: { domains: [], ndots: 1 },
  exchangerPort: 25,
  hostsMax: 20,
  addressesMax: 8,
  ttlMinMs: 1000,
  configuredTtlMs: 300_000,
  troubleTtlMs: 10_000,
};

type AnyAnswer = DnsAnswer<RecordOf[RecordType]>;

/** A DNS that answers when it is told to. */
class SlowDns {
  readonly cached = new Map<string, AnyAnswer>();
  readonly open = new Map<string, (answer: AnyAnswer) => void>();

  known<T extends RecordType>(name: string, type: T) {
    return this.cached.get(`${type} ${name}`) as DnsAnswer<RecordOf[T]> | undefined;
  }

  ask<T extends RecordType>(name: string, type: T) {
    return new Promise<DnsAnswer<RecordOf[T]>>((resolve) => {
      this.open.set(`${type} ${name}`, (answer) => resolve(answer as DnsAnswer<RecordOf[T]>));
    });
  }

  async answer(question: string, answer: AnyAnswer): Promise<void> {
    this.open.get(question)!(answer);
    this.open.delete(question);
    await new Promise(process.nextTick);
  }

  get asked(): string[] {
    return [...this.open.keys()];
  }
}

const EXCHANGERS: AnyAnswer = {
  kind: 'found',
  records: ['a', 'b', 'c'].map((exchanger) => ({ preference: 10, exchanger })),
  ttlMs: 60_000,
};
const ADDRESS: AnyAnswer = { kind: 'found', records: ['192.0.2.1'], ttlMs: 60_000 };
const NODATA: AnyAnswer = { kind: 'nodata', ttlMs: 60_000 };

function domainsOver(dns: SlowDns, places = 10) {
  const draws = [0.9, 0.1, 0.5];
  const turnstile = new Turnstile(places);
  const random = () => draws.shift() ?? 0;
  const domains = new Domains({ dns, policy: POLICY, turnstile, random, decideWithinMs: 12_000 });
  return { domains, turnstile };
}

function shortOf({ result }: Decision): unknown {
  if (result.$case !== 'site') return result.value.text;
  return result.value.hosts.map(({ name }) => name);
}

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ['nextTick'] });
});

afterEach(() => {
  expect(jest.getTimerCount()).toBe(0);
  jest.useRealTimers();
});

describe('a domain', () => {
  test('of the configuration is decided without DNS', async () => {
    const dns = new SlowDns();
    const { domains } = domainsOver(dns);
    expect(await domains.decide('home.example')).toMatchObject({ questions: 0, cacheHits: 0 });
    expect([domains.deciding, dns.asked]).toEqual([0, []]);
  });

  test('goes to its exchangers as they were drawn', async () => {
    const dns = new SlowDns();
    const { domains, turnstile } = domainsOver(dns);
    const deciding = domains.decide('d.example');
    expect(dns.asked).toEqual(['MX d.example']);
    await dns.answer('MX d.example', EXCHANGERS);
    for (const question of dns.asked)
      await dns.answer(question, question.startsWith('AAAA') ? NODATA : ADDRESS);
    const decision = await deciding;
    expect(shortOf(decision)).toEqual(['b', 'c', 'a']);
    expect(decision).toMatchObject({ questions: 7, cacheHits: 0 });
    expect(turnstile.inside).toBe(0);
  });

  test('is decided at once by what is known', async () => {
    const dns = new SlowDns();
    const { domains, turnstile } = domainsOver(dns, 0);
    dns.cached.set('MX d.example', NODATA).set('A d.example', ADDRESS).set('AAAA d.example', NODATA);
    expect(await domains.decide('d.example')).toMatchObject({ questions: 0, cacheHits: 3 });
    expect(turnstile.waiting).toBe(0);
  });

  test('is asked for once, however many want it', async () => {
    const dns = new SlowDns();
    const { domains } = domainsOver(dns);
    const both = [domains.decide('d.example'), domains.decide('d.example')];
    expect([domains.deciding, dns.asked]).toEqual([1, ['MX d.example']]);
    await dns.answer('MX d.example', { kind: 'nxdomain', ttlMs: 0 });
    const [first, second] = await Promise.all(both);
    expect(first).toBe(second);
    expect(domains.deciding).toBe(0);
  });

  test('waits for its turn, which the one before gives up when it is decided', async () => {
    const dns = new SlowDns();
    const { domains } = domainsOver(dns, 1);
    const first = domains.decide('d.example');
    const second = domains.decide('e.example');
    expect(dns.asked).toEqual(['MX d.example']);
    await dns.answer('MX d.example', { kind: 'nxdomain', ttlMs: 0 });
    await first;
    expect(dns.asked).toEqual(['MX e.example']);
    await dns.answer('MX e.example', { kind: 'nxdomain', ttlMs: 0 });
    await second;
  });

  test('is deferred when DNS takes too long, even before its turn', async () => {
    const dns = new SlowDns();
    const { domains, turnstile } = domainsOver(dns, 1);
    const both = [domains.decide('d.example'), domains.decide('e.example')];
    jest.advanceTimersByTime(12_000);
    expect((await Promise.all(both)).map(shortOf)).toEqual([
      'DNS gives no usable answer: MX of d.example (timeout)',
      'DNS gives no usable answer: MX of e.example (timeout)',
    ]);
    expect([turnstile.inside, turnstile.waiting, domains.deciding]).toEqual([0, 0, 0]);
    // The late answer is heard by nobody.
    await dns.answer('MX d.example', EXCHANGERS);
  });
});
