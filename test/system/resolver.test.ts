import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  AlwaysOnSampler,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { type DnsTestServer, startDnsServer } from '#kit/dns-server.ts';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { configSchema } from '#libs/config/schema.ts';
import { subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { startTelemetry, type Telemetry } from '#libs/telemetry/telemetry.ts';
import { Tracing } from '#libs/telemetry/tracing.ts';
import {
  RecipientAnswer,
  RecipientRequest,
  RecipientVerdict,
  RouteAnswer,
  RouteRequest,
} from '#proto/postrider/v1/route.ts';
import { Resolver } from '../../services/resolver/resolver.actor.ts';

const NAMES = {
  'many.test': { MX: ['10 mx1.test', '10 mx2.test', '20 mx3.test'], ttl: 100 },
  'same.test': { MX: ['10 mx3.test', '20 mx2.test', '30 mx1.test'] },
  'mx1.test': { A: ['192.0.2.1'], AAAA: ['2001:db8::1'] },
  'mx2.test': { A: ['192.0.2.2'] },
  'mx3.test': { CNAME: 'mx2.test' },
  'implicit.test': { A: ['192.0.2.3'] },
  'null.test': { MX: ['0 .'] },
  'ours.test': { MX: ['10 us.test', '20 mx1.test'] },
  'half.test': { MX: ['10 broken.test', '20 mx2.test'] },
  'gone.test': { MX: ['10 nowhere.test'] },
  'slow.test': { MX: ['10 broken.test'] },
  'relay.test': { A: ['192.0.2.4'] },
  'dovecot.mail.cluster.test': { A: ['192.0.2.5'] },
};

let nats: NatsServer;
let dns: DnsTestServer;
let caller: Link;
let telemetry: Telemetry;
const spans = new InMemorySpanExporter();
const running: { resolver: Resolver; link: Link }[] = [];

async function startResolver(): Promise<Resolver> {
  const config = configSchema.parse({
    hostname: 'US.test',
    localDomains: [
      { name: 'home.test', recipients: ['anna'], gateway: { maildir: '/mail/{local}' } },
      { name: 'box.test', gateway: { lmtp: 'localhost:24' } },
    ],
    routes: [
      { domain: '.routed.test', to: 'relay.test:2525' },
      { domain: 'wrong.test', to: 'missing.test:25' },
      { domain: 'short.test', to: 'dovecot.mail:25' },
    ],
    dns: { servers: [dns.address], search: ['cluster.test'], timeout: '100 ms', tries: 2 },
    delivery: { smtpPort: 2526 },
  });
  const link = await connectLink({ url: nats.url, service: 'resolver' });
  const resolver = new Resolver({ config, telemetry, link });
  resolver.start();
  await link.flush();
  running.push({ resolver, link });
  return resolver;
}

beforeAll(async () => {
  nats = await startNats();
  dns = await startDnsServer(NAMES);
  dns.script('broken.test', 'servfail');
  caller = await connectLink({ url: nats.url, service: 'queue' });
  const service = { name: 'resolver', instance: 'resolver-test' };
  const started = await startTelemetry(configSchema.parse({ telemetry: { logLevel: 'silent' } }), service);
  const provider = new TracerProvider({
    sampler: new AlwaysOnSampler(),
    spanProcessors: [new SimpleSpanProcessor({ exporter: spans })],
  });
  telemetry = { ...started, tracing: new Tracing(provider.getTracer('test'), { sampleRatio: 1 }) };
  await startResolver();
});

afterAll(async () => {
  for (const { resolver, link } of running) {
    await resolver.stop();
    await link.close();
  }
  await telemetry.stop();
  await caller.close();
  await dns.close();
  await nats.stop();
});

async function ask(domains: string[], trace?: RouteRequest['trace']) {
  const request = RouteRequest.encode({ domains, trace }).finish();
  const answer = await caller.request(subjects.resolveRoute, request, 15_000);
  if (answer.kind !== 'answer') throw new Error(answer.kind);
  return RouteAnswer.decode(answer.data).routes;
}

/** "key host=address,address ..." of a site, "code enhanced" of a refusal. */
async function route(domain: string): Promise<string> {
  const [{ result } = { result: undefined }] = await ask([domain]);
  if (result?.$case !== 'site') return `${result?.value.code} ${result?.value.enhanced}`;
  const { key, hosts } = result.value;
  return [key, ...hosts.map(({ name, port, addresses }) => `${name}:${port}=${addresses}`)].join(' ');
}

describe('the resolver', () => {
  test.each([
    ['home.test', 'maildir:/mail/{local}'],
    ['box.test', 'lmtp:localhost:24 localhost:24=127.0.0.1,::1'],
    ['short.test', 'smtp:dovecot.mail:25 dovecot.mail:25=192.0.2.5'],
    ['a.routed.test', 'smtp:relay.test:2525 relay.test:2525=192.0.2.4'],
    [
      'same.test',
      'mx:mx1.test,mx2.test,mx3.test mx3.test:2526=192.0.2.2 mx2.test:2526=192.0.2.2 mx1.test:2526=192.0.2.1,2001:db8::1',
    ],
    ['Implicit.test', 'mx:implicit.test implicit.test:2526=192.0.2.3'],
    ['half.test', 'mx:broken.test,mx2.test mx2.test:2526=192.0.2.2'],
    ['[192.0.2.9]', 'smtp:192.0.2.9:2526 [192.0.2.9]:2526=192.0.2.9'],
    ['null.test', '556 5.1.10'],
    ['ours.test', '554 5.4.6'],
    ['gone.test', '550 5.4.4'],
    ['unknown.test', '550 5.1.2'],
    ['slow.test', '451 4.4.3'],
    ['wrong.test', '451 4.3.5'],
  ])('sends %s to %s', async (domain, expected) => {
    expect(await route(domain)).toBe(expected);
  });

  test('answers in the order of the request, each with its life', async () => {
    const domains = ['many.test', 'Home.Test', 'null.test', 'many.test'];
    const routes = await ask(domains);
    expect(routes.map(({ domain }) => domain)).toEqual(domains);
    const [many, home, none, again] = routes;
    expect(again!.result).toEqual(many!.result);
    expect(many!.ttlMs).toBeLessThanOrEqual(100_000);
    expect(home!.ttlMs).toBe(300_000);
    expect(none!.ttlMs).toBeGreaterThan(100_000);
  });

  test('draws lots among equals, each time anew', async () => {
    const firsts = new Set<string>();
    for (let i = 0; i < 40; i++) firsts.add((await route('many.test')).split(' ')[1]!.slice(0, 4));
    expect([...firsts].sort()).toEqual(['mx1.', 'mx2.']);
    expect(dns.asked('many.test MX')).toBe(1);
  });

  test('defers while DNS is silent, and knows the way afterwards', async () => {
    dns.script('*', 'silent');
    expect(await route('later.test')).toBe('451 4.4.3');
    dns.script('*', undefined);
    dns.zone.names['later.test'] = { A: ['192.0.2.8'] };
    await new Promise((done) => setTimeout(done, 1100));
    expect(await route('later.test')).toMatch(/192\.0\.2\.8$/);
  });

  test('tells recipients apart', async () => {
    const forwardPaths = ['anna@home.test', 'Anna+x@HOME.test', 'bob@home.test', 'x@box.test', 'x@many.test'];
    const request = RecipientRequest.encode({ forwardPaths }).finish();
    const answer = await caller.request(subjects.resolveRecipient, request, 5000);
    if (answer.kind !== 'answer') throw new Error(answer.kind);
    const { LOCAL, UNKNOWN, RELAY } = RecipientVerdict;
    const { results } = RecipientAnswer.decode(answer.data);
    expect(results.map(({ verdict }) => verdict)).toEqual([LOCAL, LOCAL, UNKNOWN, LOCAL, RELAY]);
    expect(results.map(({ wholeDomain }) => wholeDomain)).toEqual([false, false, false, true, true]);
  });

  test('drops what it cannot read, and goes on', async () => {
    const nonsense = await caller.request(subjects.resolveRoute, Buffer.from([0xff, 0xff, 0xff]), 300);
    expect(nonsense.kind).toBe('timeout');
    caller.publish(
      subjects.resolveRoute,
      RouteRequest.encode({ domains: ['x.test'], trace: undefined }).finish(),
    );
    expect(await route('home.test')).toBe('maildir:/mail/{local}');
  });

  test('hangs its span on the mail that asks', async () => {
    const root = telemetry.tracing.startRoot('accept', { kind: 'server' })!;
    spans.reset();
    await ask(['home.test', 'mx.test', 'slow.test'], root.context);
    const [span] = spans.getFinishedSpans();
    expect(span).toMatchObject({ name: 'resolve', status: { message: 'no usable answer from DNS' } });
    expect(span!.parentSpanContext!.spanId).toBe(Buffer.from(root.context.spanId).toString('hex'));
    expect(span!.attributes).toMatchObject({
      'mail.domains': 3,
      'mail.domain': 'home.test',
      'mail.routes.site': 1,
      'mail.routes.failed': 1,
      'mail.routes.deferred': 1,
    });
    root.end();
  });

  test('shows counts and gauges', async () => {
    const text = await (await fetch(`http://127.0.0.1:${telemetry.metricsPort}/metrics`)).text();
    expect(text).toMatch(/^postrider_resolver_dns_questions_total\{transport="udp"\} \d+/m);
    expect(text).toMatch(/^postrider_resolver_dns_answers_total\{kind="servfail"\} \d+/m);
    expect(text).toMatch(/^postrider_resolver_dns_cache_hits_total \d+/m);
    expect(text).toMatch(/^postrider_resolver_dns_cache_entries [1-9]/m);
    expect(text).toMatch(/^postrider_resolver_dropped_requests_total\{reason="unreadable"\} 2/m);
    expect(text).toMatch(/^postrider_resolver_routes_total\{result="deferred"\} \d+/m);
  });

  test('shares its work, and what it was asked is answered when it stops', async () => {
    await startResolver();
    dns.delayMs = 30;
    const asking = Array.from({ length: 40 }, (_, i) => ask([`n${i}.test`]));
    await caller.flush();
    await running[0]!.resolver.stop();
    const routes = (await Promise.all(asking)).flat();
    expect(routes.every(({ result }) => result?.$case === 'failed')).toBe(true);
    dns.delayMs = 0;
    expect(await route('home.test')).toBe('maildir:/mail/{local}');
  });
});
