// What a DNS server for tests knows, as data, and what it says to a question. Pure.
import type { Answer, Packet, Question } from 'dns-packet';

/** Records of one name. `MX: ['10 mx1.example.net']`; "0 ." is the null MX. */
export interface ZoneName {
  A?: readonly string[];
  AAAA?: readonly string[];
  MX?: readonly string[];
  CNAME?: string;
  /** Seconds; 300 when absent. */
  ttl?: number;
}

export interface Zone {
  /** By lower-case name, all zones together. A name above another one exists. */
  names: Record<string, ZoneName>;
  /** Seconds for "there is none"; 'absent' leaves the SOA out. 60 when not given. */
  negativeTtl?: number | 'absent';
}

const ALIASES_MAX = 20;
const NXDOMAIN = 3;
const RECURSION_AVAILABLE = 1 << 7;

/** The answer of a server that recurses: follows aliases, gives a SOA where there is no record. */
export function answerFrom(zone: Zone, question: Question): Packet {
  const answers: Answer[] = [];
  let name = question.name.toLowerCase();
  for (let aliases = 0; aliases < ALIASES_MAX; aliases++) {
    const here = zone.names[name];
    if (here?.CNAME === undefined) break;
    answers.push({ type: 'CNAME', name, ttl: here.ttl ?? 300, data: here.CNAME });
    name = here.CNAME.toLowerCase();
  }
  const records = recordsOf(name, zone.names[name], question.type);
  answers.push(...records);
  const flags = RECURSION_AVAILABLE | (exists(zone, name) ? 0 : NXDOMAIN);
  return { flags, answers, authorities: records.length > 0 ? [] : soaOf(zone) };
}

function recordsOf(name: string, here: ZoneName | undefined, type: string): Answer[] {
  const ttl = here?.ttl ?? 300;
  if (type === 'A') return (here?.A ?? []).map((data) => ({ type, name, ttl, data }));
  if (type === 'AAAA') return (here?.AAAA ?? []).map((data) => ({ type, name, ttl, data }));
  if (type !== 'MX') return [];
  return (here?.MX ?? []).map((text) => {
    const [preference, exchange] = text.split(' ');
    return { type, name, ttl, data: { preference: Number(preference), exchange: exchange! } };
  });
}

function exists(zone: Zone, name: string): boolean {
  return name in zone.names || Object.keys(zone.names).some((one) => one.endsWith(`.${name}`));
}

function soaOf({ negativeTtl = 60 }: Zone): Answer[] {
  if (negativeTtl === 'absent') return [];
  const data = { mname: 'ns.test', rname: 'root.test', serial: 1, refresh: 1, retry: 1, expire: 1 };
  return [{ type: 'SOA', name: 'test', ttl: 3600, data: { ...data, minimum: negativeTtl } }];
}
