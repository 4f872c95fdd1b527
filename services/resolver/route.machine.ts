// Decides the route of one domain. Never asks DNS, never draws lots: answers and draws are inputs, questions are effects.
//
//               needs no question: Maildir, socket, address, nonsense
//   (start) ──────────────────────────────────────────────────────────────────────▶ decided
//     │  │                                                                            ▲ ▲
//     │  └─ by DNS ─▶ exchangers ── null MX, no such domain, only us, trouble ────────┘ │
//     │                   │ MX records; or none, then the domain itself                │
//     └─ a named host ────┴──▶ addresses ── all answers are here, or the time is over ──┘
//                               │    ▲
//                               └────┘ none by this spelling of a named host, and there are others
//
// Invariants:
//  R1  What DNS could not tell defers; a route fails only on answers that were given (RFC 5321 §5.1, RFC 7505).
//  R2  A host that the configuration names defers when it has no address in any of its spellings: that is our fault, not the
//      domain's. The next spelling is tried only when DNS said that there is none of the one before.
//  R3  Hosts are in the order of preference, equals in the order of their draws (RFC 5321 §5.1).
//  R4  By DNS, mail goes only to hosts that are preferred to us.
//  R5  There is one decision, and nothing after it.
//  R6  A site by name has 1 to hostsMax hosts with 1 to addressesMax addresses each.
//  R7  A decision lives as long as the shortest-lived answer that it rests upon; with trouble among them, briefly.
import { type DnsAnswer, type MailExchanger, trouble } from '#libs/dns/answer.ts';
import { isHostName } from '#libs/dns/name.ts';
import { type SearchList, spellingsOf } from '#libs/dns/search-list.ts';
import { addressOfLiteral } from '#libs/mail/address.ts';
import { type Route, type Site, Transport } from '#proto/postrider/v1/route.ts';
import { exchangersOf } from './exchangers.ts';
import { type RefusalName, refusalReply } from './route-replies.ts';
import { configuredFor, type Destination, type RouteTable } from './route-table.ts';
import {
  addressSite,
  endpointKey,
  exchangersKey,
  hostOf,
  hostsSite,
  maildirSite,
  socketSite,
} from './sites.ts';

export interface RoutePolicy {
  readonly table: RouteTable;
  /** Our own name, as other hosts' MX records may have it. */
  readonly ownName: string;
  /** Completes the names of hosts in the table. */
  readonly search: SearchList;
  /** Port of hosts found by MX. */
  readonly exchangerPort: number;
  readonly hostsMax: number;
  readonly addressesMax: number;
  readonly ttlMinMs: number;
  /** Life of what the configuration says. */
  readonly configuredTtlMs: number;
  /** Life of what rests on trouble. */
  readonly troubleTtlMs: number;
}

export type AddressType = 'A' | 'AAAA';

/** What is not answered yet counts as silence. */
export interface SoughtHost {
  readonly name: string;
  A: DnsAnswer<string>;
  AAAA: DnsAnswer<string>;
}

export interface SearchState {
  readonly phase: 'addresses';
  readonly domain: string;
  /** Who named the hosts; nobody: the domain is its own host, the implicit MX of RFC 5321 §5.1. */
  readonly namedBy: 'exchangers' | 'nobody' | 'configuration';
  readonly key: string;
  readonly transport: Transport;
  readonly port: number;
  readonly hosts: SoughtHost[];
  /** "A mx1.example.net" of each question without an answer. */
  readonly open: Set<string>;
  /** Life of what named the hosts. */
  readonly ttlMs: number;
  /** Of a host that the configuration names: how, and the spellings that are left. */
  readonly named: { readonly name: string; readonly spellings: readonly string[] } | undefined;
}

export type RouteState =
  | { readonly phase: 'exchangers'; readonly domain: string }
  | SearchState
  | { readonly phase: 'decided' };

export type RouteInput =
  /** `draws`: a number from [0, 1) for each record that was found. */
  | { kind: 'exchangers'; answer: DnsAnswer<MailExchanger>; draws: readonly number[] }
  | { kind: 'addresses'; name: string; type: AddressType; answer: DnsAnswer<string> }
  /** No more time for answers. */
  | { kind: 'ranOut' };

export type RouteEffect =
  | { kind: 'askExchangers'; domain: string }
  /** Addresses of both types of each. */
  | { kind: 'askAddresses'; names: readonly string[] }
  | { kind: 'decide'; result: RouteResult; ttlMs: number };

export type RouteResult = NonNullable<Route['result']>;

export interface RouteStep {
  state: RouteState;
  effects: RouteEffect[];
}

const SILENCE = trouble('timeout');

/** The first step for a lower-cased domain or address literal; '' for a path without a domain. */
export function startRoute(domain: string, policy: RoutePolicy): RouteStep {
  const destination = configuredFor(domain, policy.table);
  if (destination !== undefined) return goTo(destination, domain, policy);
  if (isHostName(domain)) {
    return { state: { phase: 'exchangers', domain }, effects: [{ kind: 'askExchangers', domain }] };
  }
  const address = addressOfLiteral(domain);
  if (address === undefined) return fail('noSuchDomain', domain, policy.configuredTtlMs, policy);
  const port = policy.exchangerPort;
  return settle(addressSite({ transport: Transport.SMTP, address, port, name: domain }), policy);
}

/** Feeds one input to a started route. */
export function receive(state: RouteState, input: RouteInput, policy: RoutePolicy): RouteStep {
  switch (state.phase) {
    case 'exchangers':
      return whileExchangers(state, input, policy);
    case 'addresses':
      return whileAddresses(state, input, policy);
    case 'decided': // R5
      return { state, effects: [] };
  }
}

function settle(site: Site, policy: RoutePolicy): RouteStep {
  return decide({ $case: 'site', value: site }, policy.configuredTtlMs, policy);
}

function goTo(destination: Destination, domain: string, policy: RoutePolicy): RouteStep {
  switch (destination.kind) {
    case 'maildir':
      return settle(maildirSite(destination.template), policy);
    case 'socket':
      return settle(socketSite(destination.transport, destination.path), policy);
    case 'address':
      return settle(addressSite({ ...destination, name: '' }), policy);
    case 'host': {
      const { transport, name, port } = destination;
      const key = endpointKey(transport, name, port);
      const ttlMs = policy.configuredTtlMs;
      const [first, ...spellings] = spellingsOf(name, policy.search);
      const named = { name, spellings };
      return seek([first], { domain, namedBy: 'configuration', key, transport, port, ttlMs, named });
    }
  }
}

function whileExchangers(
  state: { readonly phase: 'exchangers'; readonly domain: string },
  input: RouteInput,
  policy: RoutePolicy,
): RouteStep {
  switch (input.kind) {
    case 'exchangers':
      return withExchangers(state.domain, input, policy);
    case 'addresses':
      return { state, effects: [] };
    case 'ranOut':
      return withExchangers(state.domain, { answer: SILENCE, draws: [] }, policy);
  }
}

function withExchangers(
  domain: string,
  { answer, draws }: { answer: DnsAnswer<MailExchanger>; draws: readonly number[] },
  policy: RoutePolicy,
): RouteStep {
  switch (answer.kind) {
    case 'found':
      return follow(domain, { records: answer.records, draws, ttlMs: answer.ttlMs }, policy);
    case 'nodata':
      if (domain === policy.ownName) return fail('loop', domain, answer.ttlMs, policy); // R4
      return seekExchangers([domain], { domain, namedBy: 'nobody', ttlMs: answer.ttlMs }, policy);
    case 'nxdomain':
      return fail('noSuchDomain', domain, answer.ttlMs, policy);
    case 'trouble':
      return defer(`MX of ${domain} (${answer.reason})`, policy);
  }
}

function follow(
  domain: string,
  found: { records: readonly MailExchanger[]; draws: readonly number[]; ttlMs: number },
  policy: RoutePolicy,
): RouteStep {
  const { records, draws, ttlMs } = found;
  const exchangers = exchangersOf(records, { ownName: policy.ownName, draws }); // R3, R4
  switch (exchangers.kind) {
    case 'null':
      return fail('nullExchanger', domain, ttlMs, policy);
    case 'only-us':
      return fail('loop', domain, ttlMs, policy);
    case 'nonsense':
      return fail('noAddress', domain, ttlMs, policy);
    case 'hosts':
      return seekExchangers(exchangers.names, { domain, namedBy: 'exchangers', ttlMs }, policy);
  }
}

function seekExchangers(
  names: readonly string[],
  search: Pick<SearchState, 'domain' | 'namedBy' | 'ttlMs'>,
  policy: RoutePolicy,
): RouteStep {
  // Over hostsMax the draws choose, so the key is that of all.
  const key = exchangersKey(names);
  const port = policy.exchangerPort;
  const how = { key, transport: Transport.SMTP, port, named: undefined };
  return seek(names.slice(0, policy.hostsMax), { ...search, ...how });
}

function seek(names: readonly string[], search: Omit<SearchState, 'phase' | 'hosts' | 'open'>): RouteStep {
  const hosts = names.map((name): SoughtHost => ({ name, A: SILENCE, AAAA: SILENCE }));
  const open = new Set(names.flatMap((name) => [`A ${name}`, `AAAA ${name}`]));
  return {
    state: { ...search, phase: 'addresses', hosts, open },
    effects: [{ kind: 'askAddresses', names }],
  };
}

function whileAddresses(state: SearchState, input: RouteInput, policy: RoutePolicy): RouteStep {
  switch (input.kind) {
    case 'exchangers':
      return { state, effects: [] };
    case 'addresses': {
      if (!state.open.delete(`${input.type} ${input.name}`)) return { state, effects: [] };
      state.hosts.find(({ name }) => name === input.name)![input.type] = input.answer;
      return state.open.size > 0 ? { state, effects: [] } : decideByAddresses(state, policy);
    }
    case 'ranOut':
      return decideByAddresses(state, policy);
  }
}

/** R6, R7; without a reachable host R1 and R2. */
function decideByAddresses(state: SearchState, policy: RoutePolicy): RouteStep {
  const { hosts, domain, namedBy } = state;
  const answers = hosts.flatMap(({ A, AAAA }) => [A, AAAA]);
  const reachable = hosts
    .map((host) => {
      const addresses = addressesOf(host).slice(0, policy.addressesMax);
      return hostOf(state.named?.name ?? host.name, state.port, addresses);
    })
    .filter(({ addresses }) => addresses.length > 0);
  if (reachable.length > 0) {
    const site = hostsSite(state.key, state.transport, reachable);
    // What is not there does not shorten the life of what is.
    const bearing = answers.filter(({ kind }) => kind === 'found' || kind === 'trouble');
    return decide({ $case: 'site', value: site }, leastLife(state.ttlMs, bearing, policy), policy);
  }
  const troubled = hosts.find(({ A, AAAA }) => A.kind === 'trouble' || AAAA.kind === 'trouble');
  if (troubled !== undefined) return defer(`addresses of ${troubled.name} (${reasonOf(troubled)})`, policy);
  if (state.named !== undefined) return withoutAddress(state, state.named, policy);
  const gone = namedBy === 'nobody' && answers.some(({ kind }) => kind === 'nxdomain');
  return fail(gone ? 'noSuchDomain' : 'noAddress', domain, leastLife(state.ttlMs, answers, policy), policy);
}

/** R2 */
function withoutAddress(
  state: SearchState,
  { name, spellings }: NonNullable<SearchState['named']>,
  policy: RoutePolicy,
): RouteStep {
  const [next, ...rest] = spellings;
  if (next !== undefined) return seek([next], { ...state, named: { name, spellings: rest } });
  const reply = refusalReply('troubledConfiguration', name);
  return decide({ $case: 'deferred', value: reply }, policy.troubleTtlMs, policy);
}

/** IPv4 first: a machine without IPv6 loses no time, and one with it has both. */
function addressesOf({ A, AAAA }: SoughtHost): string[] {
  return [A, AAAA].flatMap((answer) => (answer.kind === 'found' ? answer.records : []));
}

function reasonOf({ A, AAAA }: SoughtHost): string {
  return [A, AAAA].flatMap((answer) => (answer.kind === 'trouble' ? [answer.reason] : []))[0]!;
}

function leastLife(ttlMs: number, answers: readonly DnsAnswer<string>[], policy: RoutePolicy): number {
  return Math.min(
    ttlMs,
    ...answers.map((answer) => (answer.kind === 'trouble' ? policy.troubleTtlMs : answer.ttlMs)),
  );
}

function defer(about: string, policy: RoutePolicy): RouteStep {
  const value = refusalReply('troubledDns', about);
  return decide({ $case: 'deferred', value }, policy.troubleTtlMs, policy);
}

function fail(name: RefusalName, about: string, ttlMs: number, policy: RoutePolicy): RouteStep {
  return decide({ $case: 'failed', value: refusalReply(name, about) }, ttlMs, policy);
}

function decide(result: RouteResult, ttlMs: number, policy: RoutePolicy): RouteStep {
  const effect = { kind: 'decide', result, ttlMs: Math.max(policy.ttlMinMs, ttlMs) } as const;
  return { state: { phase: 'decided' }, effects: [effect] };
}
