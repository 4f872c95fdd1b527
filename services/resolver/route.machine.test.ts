import { describe, expect, test } from '@jest/globals';
import { configSchema } from '#libs/config/schema.ts';
import type { DnsAnswer, MailExchanger } from '#libs/dns/answer.ts';
import { Transport } from '#proto/postrider/v1/route.ts';
import { type RouteInput, type RoutePolicy, type RouteStep, receive, startRoute } from './route.machine.ts';
import { tableOf } from './route-table.ts';

const POLICY: RoutePolicy = {
  table: tableOf(
    configSchema.parse({
      localDomains: [
        { name: 'home.example', gateway: { maildir: '/mail/{local}' } },
        { name: 'box.example', gateway: { lmtp: 'unix:/run/lmtp' } },
      ],
      routes: [
        { domain: 'fixed.example', to: '192.0.2.9:26' },
        { domain: 'named.example', transport: 'lmtp', to: 'relay.example:24' },
      ],
    }),
  ),
  ownName: 'us.example',
  search: { domains: ['cluster.test'], ndots: 1 },
  exchangerPort: 25,
  hostsMax: 3,
  addressesMax: 2,
  ttlMinMs: 1000,
  configuredTtlMs: 300_000,
  troubleTtlMs: 10_000,
};

const NODATA = { kind: 'nodata', ttlMs: 50_000 } as const;
const NXDOMAIN = { kind: 'nxdomain', ttlMs: 40_000 } as const;
const TROUBLE = { kind: 'trouble', reason: 'servfail' } as const;

function found<T>(...records: T[]): DnsAnswer<T> {
  return { kind: 'found', records, ttlMs: 60_000 };
}

function mx(answer: DnsAnswer<MailExchanger> | string[]): RouteInput {
  if (!Array.isArray(answer)) return { kind: 'exchangers', answer, draws: [] };
  const records = answer.map((text) => {
    const [preference, exchanger] = text.split(' ');
    return { preference: Number(preference), exchanger: exchanger! };
  });
  return { kind: 'exchangers', answer: found(...records), draws: records.map((_, i) => i / 10) };
}

function addresses(name: string, a: DnsAnswer<string>, aaaa: DnsAnswer<string> = NODATA): RouteInput[] {
  return [
    { kind: 'addresses', name, type: 'AAAA', answer: aaaa },
    { kind: 'addresses', name, type: 'A', answer: a },
  ];
}

/** What is decided on a domain after these inputs. */
function decision(domain: string, inputs: RouteInput[], policy = POLICY) {
  let step: RouteStep = startRoute(domain, policy);
  for (const input of inputs) step = receive(step.state, input, policy);
  const [effect] = step.effects;
  if (effect?.kind !== 'decide') return step.effects;
  const { result, ttlMs } = effect;
  if (result.$case === 'site') return { ...result.value, ttlMs };
  return { [result.$case]: `${result.value.code} ${result.value.enhanced} ${result.value.text}`, ttlMs };
}

function host(name: string, addresses: string[], port = 25) {
  return { name, port, addresses, unixPath: '' };
}

describe('a route of the configuration', () => {
  test.each([
    ['home.example', 'maildir:/mail/{local}', Transport.MAILDIR],
    ['box.example', 'unix:/run/lmtp', Transport.LMTP],
    ['fixed.example', 'smtp:192.0.2.9:26', Transport.SMTP],
  ])('of %s needs no question', (domain, key, transport) => {
    expect(decision(domain, [])).toMatchObject({ key, transport, ttlMs: 300_000 });
  });

  test('to a named host asks for its addresses, not for its exchangers', () => {
    expect(startRoute('named.example', POLICY).effects).toEqual([
      { kind: 'askAddresses', names: ['relay.example'] },
    ]);
    expect(decision('named.example', addresses('relay.example', found('192.0.2.1')))).toEqual({
      key: 'lmtp:relay.example:24',
      transport: Transport.LMTP,
      hosts: [host('relay.example', ['192.0.2.1'], 24)],
      maildir: '',
      ttlMs: 60_000,
    });
  });

  test('to a host without addresses defers: it is our fault (R2)', () => {
    const inputs = addresses('relay.example', NXDOMAIN, NXDOMAIN);
    inputs.push(...addresses('relay.example.cluster.test', NXDOMAIN, NODATA));
    expect(decision('named.example', inputs)).toEqual({
      deferred: '451 4.3.5 Host that the configuration names has no address: relay.example',
      ttlMs: 10_000,
    });
  });

  test('to a short name goes to what completes it, under the name that the configuration has', () => {
    const inputs = addresses('relay.example', NXDOMAIN, NXDOMAIN);
    expect(decision('named.example', inputs)).toEqual([
      { kind: 'askAddresses', names: ['relay.example.cluster.test'] },
    ]);
    inputs.push(...addresses('relay.example.cluster.test', found('10.0.0.1')));
    expect(decision('named.example', inputs)).toMatchObject({
      key: 'lmtp:relay.example:24',
      hosts: [host('relay.example', ['10.0.0.1'], 24)],
    });
  });

  test('defers when DNS cannot tell whether a spelling exists: it may be the one that is meant (R1)', () => {
    expect(decision('named.example', addresses('relay.example', TROUBLE, NXDOMAIN))).toMatchObject({
      deferred: expect.stringContaining('451 4.4.3'),
    });
  });
});

describe('an address literal', () => {
  test.each([
    ['[192.0.2.1]', '192.0.2.1', 'smtp:192.0.2.1:25'],
    ['[ipv6:2001:db8:0::1]', '2001:db8::1', 'smtp:[2001:db8::1]:25'],
  ])('%s is its own host', (domain, address, key) => {
    expect(decision(domain, [])).toMatchObject({ key, hosts: [host(domain, [address])] });
  });

  test.each(['[300.0.0.1]', 'a..b', 'bücher.example'])('%p fails when it is none, nor a domain', (domain) => {
    expect(decision(domain, [])).toEqual({
      failed: `550 5.1.2 Domain does not exist: ${domain}`,
      ttlMs: 300_000,
    });
  });
});

describe('a domain by MX', () => {
  test('goes to its exchangers, in order, at their addresses (R3)', () => {
    const inputs = [mx(['20 b.example', '10 a.example']), ...addresses('b.example', found('192.0.2.2'))];
    expect(decision('d.example', inputs)).toEqual([]);
    inputs.push(...addresses('a.example', found('192.0.2.1'), found('2001:db8::1')));
    expect(decision('d.example', inputs)).toEqual({
      key: 'mx:a.example,b.example',
      transport: Transport.SMTP,
      hosts: [host('a.example', ['192.0.2.1', '2001:db8::1']), host('b.example', ['192.0.2.2'])],
      maildir: '',
      ttlMs: 60_000,
    });
  });

  test('fails when it takes no mail, or does not exist', () => {
    const nullMx = { failed: '556 5.1.10 Domain takes no mail (null MX): d.example', ttlMs: 60_000 };
    expect(decision('d.example', [mx(['0 .'])])).toEqual(nullMx);
    const unknown = { failed: '550 5.1.2 Domain does not exist: d.example', ttlMs: 40_000 };
    expect(decision('d.example', [mx(NXDOMAIN)])).toEqual(unknown);
  });

  test('is its own host when it has no MX', () => {
    const inputs = [mx(NODATA), ...addresses('d.example', found('192.0.2.1'))];
    expect(decision('d.example', inputs)).toMatchObject({
      key: 'mx:d.example',
      hosts: [host('d.example', ['192.0.2.1'])],
      ttlMs: 50_000,
    });
  });

  test('fails when it has neither MX nor address', () => {
    const without = {
      failed: '550 5.4.4 No host for mail of the domain has an address: d.example',
      ttlMs: 50_000,
    };
    expect(decision('d.example', [mx(NODATA), ...addresses('d.example', NODATA)])).toEqual(without);
    const gone = { failed: '550 5.1.2 Domain does not exist: d.example', ttlMs: 40_000 };
    expect(decision('d.example', [mx(NODATA), ...addresses('d.example', NXDOMAIN, NXDOMAIN)])).toEqual(gone);
  });

  test('fails when no exchanger has an address, even if none exists', () => {
    const reply = '550 5.4.4 No host for mail of the domain has an address: d.example';
    const inputs = [mx(['10 a.example']), ...addresses('a.example', NXDOMAIN, NXDOMAIN)];
    expect(decision('d.example', inputs)).toEqual({ failed: reply, ttlMs: 40_000 });
    expect(decision('d.example', [mx(['10 .', '20 .'])])).toMatchObject({ failed: reply });
  });

  test('does not come back to us (R4)', () => {
    const loop = { failed: '554 5.4.6 Mail for the domain would loop back to this host: d.example' };
    expect(decision('d.example', [mx(['10 us.example', '10 a.example'])])).toMatchObject(loop);
    expect(decision('us.example', [mx(NODATA)])).toHaveProperty('failed');
    const inputs = [mx(['20 us.example', '10 a.example']), ...addresses('a.example', found('192.0.2.1'))];
    expect(decision('d.example', inputs)).toMatchObject({ key: 'mx:a.example' });
  });

  test('has a limited number of hosts and addresses, and the key of all (R6)', () => {
    const inputs = [mx(['10 a', '20 b', '30 c', '40 d'])];
    for (const name of ['a', 'b', 'c']) {
      inputs.push(...addresses(name, found('192.0.2.1', '192.0.2.2'), found('2001:db8::1')));
    }
    const two = ['192.0.2.1', '192.0.2.2'];
    expect(decision('d.example', inputs)).toMatchObject({
      key: 'mx:a,b,c,d',
      hosts: [host('a', two), host('b', two), host('c', two)],
    });
  });
});

describe('trouble with DNS', () => {
  test('defers when the exchangers are not known (R1)', () => {
    const about = '451 4.4.3 DNS gives no usable answer: MX of d.example';
    expect(decision('d.example', [mx(TROUBLE)])).toEqual({ deferred: `${about} (servfail)`, ttlMs: 10_000 });
    const late = decision('d.example', [{ kind: 'ranOut' }]);
    expect(late).toEqual({ deferred: `${about} (timeout)`, ttlMs: 10_000 });
  });

  test('defers when it leaves no exchanger, though another does not exist (R1)', () => {
    const inputs = [
      mx(['10 a', '20 b']),
      ...addresses('a', NXDOMAIN, NXDOMAIN),
      ...addresses('b', NODATA, TROUBLE),
    ];
    expect(decision('d.example', inputs)).toEqual({
      deferred: '451 4.4.3 DNS gives no usable answer: addresses of b (servfail)',
      ttlMs: 10_000,
    });
  });

  test('leaves the exchangers that are known, for a short life (R7)', () => {
    const inputs = [mx(['10 a', '20 b']), ...addresses('a', TROUBLE), ...addresses('b', found('192.0.2.2'))];
    expect(decision('d.example', inputs)).toMatchObject({
      key: 'mx:a,b',
      hosts: [host('b', ['192.0.2.2'])],
      ttlMs: 10_000,
    });
  });

  test('is what has no answer in time', () => {
    const inputs = [mx(['10 a', '20 b']), ...addresses('b', found('192.0.2.2'))];
    const late = { kind: 'ranOut' } as const;
    expect(decision('d.example', [...inputs, late])).toMatchObject({ hosts: [host('b', ['192.0.2.2'])] });
    expect(decision('named.example', [late])).toMatchObject({
      deferred: '451 4.4.3 DNS gives no usable answer: addresses of relay.example (timeout)',
    });
  });
});

describe('a route', () => {
  test('is decided once (R5), and deaf to answers that it does not wait for', () => {
    const [late] = addresses('a', found('192.0.2.1'));
    expect(decision('d.example', [late!])).toEqual([]);
    expect(decision('named.example', [late!])).toEqual([]);
    expect(decision('named.example', [mx(['10 a'])])).toEqual([]);
    expect(decision('d.example', [mx(['0 .']), mx(['10 a'])])).toEqual([]);
    expect(decision('home.example', [{ kind: 'ranOut' }])).toEqual([]);
  });

  test('lives for a second at least', () => {
    const brief = { kind: 'found', records: ['192.0.2.1'], ttlMs: 0 } as const;
    expect(decision('named.example', addresses('relay.example', brief))).toMatchObject({ ttlMs: 1000 });
  });
});
