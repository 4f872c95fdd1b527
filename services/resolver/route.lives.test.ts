import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import { configSchema } from '#libs/config/schema.ts';
import type { DnsAnswer, MailExchanger } from '#libs/dns/answer.ts';
import {
  type RouteEffect,
  type RouteInput,
  type RoutePolicy,
  type RouteState,
  receive,
  startRoute,
} from './route.machine.ts';
import { tableOf } from './route-table.ts';

const POLICY: RoutePolicy = {
  table: tableOf(configSchema.parse({ routes: [{ domain: 'named.example', to: 'a.example:26' }] })),
  ownName: 'us.example',
  search: { domains: ['cluster.test'], ndots: 1 },
  exchangerPort: 25,
  hostsMax: 2,
  addressesMax: 1,
  ttlMinMs: 1000,
  configuredTtlMs: 300_000,
  troubleTtlMs: 10_000,
};

type Decision = RouteEffect & { kind: 'decide' };

const NONE = [
  { kind: 'nodata', ttlMs: 50_000 },
  { kind: 'nxdomain', ttlMs: 40_000 },
  { kind: 'trouble', reason: 'servfail' },
] as const satisfies DnsAnswer<never>[];

const DRAWS = [
  [0, 0.5, 0.9],
  [0.9, 0.5, 0],
];

const ADDRESSES: readonly DnsAnswer<string>[] = [
  ...NONE,
  { kind: 'found', records: ['192.0.2.1', '192.0.2.2'], ttlMs: 0 },
];

const SETS = [
  ['0 .'],
  ['10 us.example'],
  ['10 a'],
  ['10 b', '10 a'],
  ['20 a', '10 b'],
  ['10 a', '20 us.example', '30 b'],
];

const EXCHANGERS: readonly DnsAnswer<MailExchanger>[] = [
  ...NONE,
  ...[...SETS, ['10 a', '20 b', '30 c']].map(
    (set) => ({ kind: 'found', records: set.map(recordOf), ttlMs: 60_000 }) as const,
  ),
];

function recordOf(text: string): MailExchanger {
  const [preference, exchanger] = text.split(' ');
  return { preference: Number(preference), exchanger: exchanger! };
}

/** Everything that can be heard in any phase, wanted or not. */
function inputsOf(route: RouteState): RouteInput[] {
  const inputs: RouteInput[] = [{ kind: 'ranOut' }];
  const answers = route.phase === 'exchangers' ? EXCHANGERS : EXCHANGERS.slice(0, 1);
  for (const answer of answers) {
    for (const draws of DRAWS) inputs.push({ kind: 'exchangers', answer, draws });
  }
  const names = route.phase === 'addresses' ? route.hosts.map(({ name }) => name) : [];
  for (const name of [...names, 'stranger.example']) {
    for (const type of ['A', 'AAAA'] as const) {
      for (const answer of ADDRESSES) inputs.push({ kind: 'addresses', name, type, answer });
    }
  }
  return inputs;
}

function isWaitedFor(route: RouteState, input: RouteInput): boolean {
  if (input.kind === 'ranOut') return route.phase !== 'decided';
  if (input.kind === 'exchangers') return route.phase === 'exchangers';
  return route.phase === 'addresses' && route.open.has(`${input.type} ${input.name}`);
}

/** The answers that a decision at this step can rest upon; silence where the time ran out. */
function answersAt(route: RouteState, input: RouteInput): DnsAnswer<unknown>[] {
  const now: DnsAnswer<unknown> =
    input.kind === 'ranOut' ? { kind: 'trouble', reason: 'timeout' } : input.answer;
  if (route.phase !== 'addresses') return [now];
  const earlier = route.hosts.flatMap(({ name, A, AAAA }) => [
    ...(route.open.has(`A ${name}`) ? [] : [A]),
    ...(route.open.has(`AAAA ${name}`) ? [] : [AAAA]),
  ]);
  return [...earlier, now];
}

function checkDecision(before: RouteState, input: RouteInput, decided: Decision): void {
  const troubled = answersAt(before, input).some(({ kind }) => kind === 'trouble');
  const configured = before.phase === 'addresses' && before.namedBy === 'configuration';
  const { result, ttlMs } = decided;
  expect(ttlMs).toBeGreaterThanOrEqual(POLICY.ttlMinMs);
  if (troubled) expect(ttlMs).toBeLessThanOrEqual(POLICY.troubleTtlMs); // R7
  if (result.$case === 'failed') expect([troubled, configured]).toEqual([false, false]); // R1, R2
  if (result.$case === 'deferred') expect(troubled || configured).toBe(true);
  if (result.$case !== 'site') {
    expect(result.value.code < 500).toBe(result.$case === 'deferred');
    return;
  }
  const { hosts } = result.value;
  expect(hosts.length).toBeGreaterThanOrEqual(1); // R6
  expect(hosts.length).toBeLessThanOrEqual(POLICY.hostsMax);
  for (const { name, addresses } of hosts) {
    expect(addresses).toHaveLength(1);
    expect(name).not.toBe(POLICY.ownName); // R4
  }
}

function keyOf(route: RouteState): string {
  return JSON.stringify(route.phase === 'addresses' ? { ...route, open: [...route.open].sort() } : route);
}

describe('every life of a route', () => {
  test('ends with one decision that its answers bear', () => {
    const domains = ['d.example', 'us.example', 'named.example', '[192.0.2.1]', '[nonsense]'];
    const walked = walkLives<RouteState, RouteInput, RouteEffect[]>({
      starts: domains.map((domain) => startRoute(domain, POLICY).state),
      inputs: inputsOf,
      receive: (route, input) => receive(route, input, POLICY),
      check: ({ before, input, after, effects }) => {
        const decisions = effects.filter((effect) => effect.kind === 'decide');
        // R5: a decision is made exactly where the phase becomes decided.
        const became = before.phase !== 'decided' && after.phase === 'decided';
        expect(decisions.length).toBe(became ? 1 : 0);
        for (const decided of decisions) checkDecision(before, input, decided);
        if (!isWaitedFor(before, input)) expect([keyOf(after), effects.length]).toEqual([keyOf(before), 0]);
      },
      key: keyOf,
      mustReach: (route) => route.phase === 'decided',
    });
    expect(walked.states.length).toBeGreaterThan(1000);
  }, 60_000);
});
