import { describe, expect, test } from '@jest/globals';
import { contradictions } from './contradictions.ts';
import { keyPathText } from './problems.ts';
import { configSchema } from './schema.ts';

/** "key path: message" of everything refused. */
function refused(given: unknown): string[] {
  const problems = contradictions(configSchema.parse(given), given);
  return problems.map(({ path, message }) => `${keyPathText(path)}: ${message}`);
}

const maildir = { gateway: { maildir: 'm' } };

describe('Settings that contradict each other are refused', () => {
  const cases: [string, unknown, string[]][] = [
    ['none by default', {}, []],
    [
      'listener with neither port nor socket',
      { listeners: [{}] },
      ['listeners[0]: expected exactly one of port and unixSocket'],
    ],
    [
      'listener with port and socket',
      { listeners: [{ port: 25, unixSocket: '/s' }] },
      ['listeners[0]: expected exactly one of port and unixSocket'],
    ],
    [
      'implicit TLS without a certificate',
      { listeners: [{ port: 465, tls: 'implicit' }] },
      ['listeners[0].tls: implicit TLS expects a certificate: the keys tls.certificate and tls.key'],
    ],
    [
      'implicit TLS with a certificate is fine',
      { listeners: [{ port: 465, tls: 'implicit' }], tls: { certificate: 'c', key: 'k' } },
      [],
    ],
    [
      'two listeners on one port',
      { listeners: [{ port: 25 }, { port: 26 }, { port: 25 }] },
      ['listeners[2]: 127.0.0.1:25 stands here twice (entries 0 and 2)'],
    ],
    ['two listeners on chosen ports are fine', { listeners: [{ port: 0 }, { port: 0 }] }, []],
    [
      'two listeners on one socket',
      { listeners: [{ unixSocket: '/s' }, { unixSocket: '/s' }] },
      ['listeners[1]: /s stands here twice (entries 0 and 1)'],
    ],
    [
      'relay network that is none',
      { relayNetworks: ['10.0.0.0/8', '10.0.0.1', '2001:db8::/32', 'lan'] },
      [
        'relayNetworks[1]: expected a network such as "192.0.2.0/24" or "2001:db8::/32"; found "10.0.0.1"',
        'relayNetworks[3]: expected a network such as "192.0.2.0/24" or "2001:db8::/32"; found "lan"',
      ],
    ],
    [
      'NATS certificate without its key',
      { nats: { tls: { ca: 'ca.pem', certificate: 'c.pem' } } },
      ['nats.tls: expected certificate and key together, or neither'],
    ],
    ['NATS with nothing but an authority is fine', { nats: { tls: { ca: 'ca.pem' } } }, []],
    [
      'network of load balancers that is none',
      { listeners: [{ port: 25, proxyProtocol: { trusted: ['10.0.0.0/8', 'lb'] } }] },
      [
        'listeners[0].proxyProtocol.trusted[1]: ' +
          'expected a network such as "192.0.2.0/24" or "2001:db8::/32"; found "lb"',
      ],
    ],
    [
      'PROXY header at a Unix socket',
      { listeners: [{ unixSocket: '/s', proxyProtocol: { trusted: ['10.0.0.0/8'] } }] },
      ['listeners[0].proxyProtocol: a Unix socket has no PROXY header: expected only one of them'],
    ],
    [
      'local domain twice, without regard to case',
      {
        localDomains: [
          { name: 'a.test', ...maildir },
          { name: 'A.test', ...maildir },
        ],
      },
      ['localDomains[1].name: a.test stands here twice (entries 0 and 1)'],
    ],
    [
      'route twice',
      {
        routes: [
          { domain: 'a.test', to: 'b:25' },
          { domain: 'a.test', to: 'c:25' },
        ],
      },
      ['routes[1].domain: a.test stands here twice (entries 0 and 1)'],
    ],
    [
      'route of a local domain',
      { localDomains: [{ name: 'a.test', ...maildir }], routes: [{ domain: 'a.test', to: 'b:25' }] },
      ['routes[0].domain: a.test is a local domain: its route is never used'],
    ],
    [
      'route for everything beside a smart host',
      { routes: [{ domain: '*', to: 'b:25' }], smartHost: 'c:25' },
      ['routes[0].domain: the route "*" leaves nothing for smartHost: expected only one of them'],
    ],
    [
      'ports of endpoints',
      {
        routes: [{ domain: 'a.test', to: 'b:0' }],
        localDomains: [{ name: 'c.test', gateway: { lmtp: '[::1]:70000' } }],
        smartHost: 'd:99999',
      },
      [
        'routes[0].to: expected a port between 1 and 65535; found "b:0"',
        'localDomains[0].gateway.lmtp: expected a port between 1 and 65535; found "[::1]:70000"',
        'smartHost: expected a port between 1 and 65535; found "d:99999"',
      ],
    ],
    ['Unix socket as endpoint is fine', { smartHost: 'unix:/run/mta' }, []],
    [
      'DNS servers',
      { dns: { servers: ['192.0.2.1', '192.0.2.1:5353', '::1', '[::1]:53', 'ns.test', '[::1]:0'] } },
      [
        'dns.servers[4]: expected address, address:port or [address]:port; found "ns.test"',
        'dns.servers[5]: expected address, address:port or [address]:port; found "[::1]:0"',
      ],
    ],
    [
      'NATS',
      { nats: { url: 'nats://a:4222, http://b', partitions: 2, spoolStreams: 3 } },
      [
        'nats.url: expected nats://host:port or tls://host:port; found "http://b"',
        'nats.spoolStreams: expected at most nats.partitions (2)',
      ],
    ],
    [
      'OTLP over something else',
      { telemetry: { otlpEndpoint: 'grpc://a:4317' } },
      ['telemetry.otlpEndpoint: expected an http or https URL; found "grpc://a:4317"'],
    ],
    [
      'warning and wait after the expiry',
      { retry: { expireAfter: '1 h', delayWarningAfter: '2 h', schedule: ['3 h'] } },
      [
        'retry.delayWarningAfter: expected at most retry.expireAfter: no mail waits that long',
        'retry.schedule[0]: expected at most retry.expireAfter: no mail waits that long',
      ],
    ],
    ['a shorter expiry alone is fine', { retry: { expireAfter: '3 s' } }, []],
    [
      'backoff',
      { delivery: { backoffMin: '1 min', backoffMax: '1 s' } },
      ['delivery.backoffMin: expected at most delivery.backoffMax'],
    ],
  ];
  test.each(cases)('%s', (_, given, expected) => {
    expect(refused(given)).toEqual(expected);
  });
});
