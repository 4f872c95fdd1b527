// What the streams must look like, and what may be done about one that looks different. Pure.
//
// A stream only grows: nothing here ever makes it hold less, or for a shorter time, unless an operator says so, and then only
// when what is stored fits.
import { CHECKPOINTS_STREAM, type Layout, QUARANTINE_STREAM, RULES_STREAM, subjects } from './layout.ts';

const NANOSECONDS = 1_000_000;
/** Chunks that no mail names, left by an ingress that died, go after 400 days; no mail waits or is held as long. */
const ORPHAN_AGE_MS = 400 * 86_400_000;
const DEDUPE_WINDOW_MS = 600_000;
/** Earlier states of the rules, to look at after a mistake. */
const RULES_KEPT = 16;
/** A record has at most a hundred rules with addresses and reasons. */
const RULES_OCTETS_MAX = 256 * 1024;
/** Packs and states, a quarter of a MiB each at most as a rule. */
const QUARANTINE_RECORDS_MAX = 1000;
/**
 * Room for a million attempts between their final dot and its reply, or for 160,000 that were each stored alone (207 octets); a worker has
 * 1,000 at most by default. Owners write again what would be dropped (services/queue/checkpoint-room.actor.ts).
 */
const CHECKPOINTS_OCTETS_MAX = 32 * 1024 * 1024;

/**
 * Streams whose records are worth little after minutes: one that cannot become what it must be is made anew. Every other stream
 * has mail in it.
 */
export const REMADE: ReadonlySet<string> = new Set([CHECKPOINTS_STREAM]);

export interface StreamConfig {
  name: string;
  subjects: string[];
  [key: string]: unknown;
}

/** Every stream of the layout. */
export function streamsOf(layout: Layout): StreamConfig[] {
  const lasting = {
    retention: 'limits',
    storage: 'file',
    num_replicas: layout.replicas,
    allow_direct: true,
    // Nothing vanishes by age: the owner of a partition removes what is settled, and nobody else does.
    max_age: 0,
    duplicate_window: DEDUPE_WINDOW_MS * NANOSECONDS,
  };
  const streams: StreamConfig[] = [];
  for (let k = 0; k < layout.spoolStreams; k++) {
    const of = (subject: (p: number) => string): string[] => {
      const own: string[] = [];
      for (let p = k; p < layout.partitions; p += layout.spoolStreams) own.push(subject(p));
      return own;
    };
    const bounded = { ...lasting, discard: 'new', max_bytes: layout.spoolSizeMax };
    streams.push(
      { ...bounded, name: `SPOOL_${k}`, subjects: of(subjects.spool) },
      {
        ...bounded,
        name: `STORE_${k}`,
        subjects: of(subjects.store),
        allow_atomic: true,
        max_age: ORPHAN_AGE_MS * NANOSECONDS,
      },
    );
  }
  streams.push(
    { ...lasting, name: 'SETTLE', subjects: ['settle.*'] },
    { ...lasting, name: 'QUEUE', subjects: ['queue.*.owner', 'queue.*.m.*'], allow_atomic: true },
    checkpointsStream(layout),
    // Nothing gives way here but by an operator's hand: when it is full, records stay where they cannot be read.
    {
      ...lasting,
      name: QUARANTINE_STREAM,
      subjects: ['quarantine.*'],
      discard: 'new',
      // Not max_bytes, which JetStream would set aside of the room for mail.
      max_msgs: QUARANTINE_RECORDS_MAX,
    },
    // The last record of a subject is all that holds: older ones may come and go.
    {
      ...lasting,
      name: RULES_STREAM,
      subjects: [subjects.traceRules],
      discard: 'old',
      max_msgs: RULES_KEPT,
      // Not max_bytes, which JetStream would set aside: a server that is full of room for mail must still have the rules.
      max_msg_size: RULES_OCTETS_MAX,
    },
  );
  return streams;
}

/**
 * A final dot waits for its record here, so nothing is synced: several servers keep it in memory, a single one in a file that
 * is written a moment later and outlives the death of its process.
 */
function checkpointsStream({ replicas }: Layout): StreamConfig {
  return {
    name: CHECKPOINTS_STREAM,
    subjects: ['checkpoint.*', 'fence.*'],
    retention: 'limits',
    storage: replicas > 1 ? 'memory' : 'file',
    ...(replicas === 1 && { persist_mode: 'async' }),
    num_replicas: replicas,
    // Owners of an older version never remove what is over, and mail must go on then. What counts is written again before it is dropped.
    discard: 'old',
    max_bytes: CHECKPOINTS_OCTETS_MAX,
  };
}

export interface Change {
  /** In JetStream's words. */
  key: string;
  from: unknown;
  to: unknown;
}

/** What is different, and what can be done about it. */
export interface Comparison {
  /** Safe while mail is in the stream. */
  changes: Change[];
  /** Would make it hold less: refused unless an operator allows it. */
  shrinking: Change[];
  /** Would make records vanish earlier: always refused, and harmless to leave. */
  shorter: Change[];
  /** Can never become what it must be. */
  unfit: Change[];
}

/** What JetStream means by a key that is absent. */
const ABSENT: Readonly<Record<string, unknown>> = {
  max_age: 0,
  max_bytes: -1,
  num_replicas: 1,
  duplicate_window: 120_000_000_000,
  discard: 'old',
};

/** Unlimited is more than anything. */
const amount = (value: unknown) => ((value as number) <= 0 ? Number.POSITIVE_INFINITY : (value as number));

/** Keys that count: more is growing. Ages are not for an operator to shorten: mail would vanish. */
const AMOUNTS: Readonly<Record<string, { less: 'shrinking' | 'shorter'; size: (value: unknown) => number }>> =
  {
    max_bytes: { less: 'shrinking', size: amount },
    num_replicas: { less: 'shrinking', size: (value) => value as number },
    max_age: { less: 'shorter', size: amount },
    duplicate_window: { less: 'shorter', size: (value) => value as number },
  };

/** How `found` differs from `wanted`; keys that `wanted` does not name are nobody's business here. */
export function compare(wanted: StreamConfig, found: StreamConfig): Comparison {
  const comparison: Comparison = { changes: [], shrinking: [], shorter: [], unfit: [] };
  for (const [key, to] of Object.entries(wanted)) {
    const from = found[key] ?? ABSENT[key] ?? (typeof to === 'boolean' ? false : undefined);
    if (from === to || (key === 'subjects' && sorted(from).join() === sorted(to).join())) continue;
    comparison[kindOf(key, from, to)].push({ key, from, to });
  }
  return comparison;
}

/** JetStream refuses to change these. */
const UNCHANGEABLE = new Set(['subjects', 'retention', 'storage', 'persist_mode']);

function kindOf(key: string, from: unknown, to: unknown): keyof Comparison {
  if (UNCHANGEABLE.has(key)) return 'unfit';
  const counted = AMOUNTS[key];
  return counted === undefined || counted.size(to) > counted.size(from) ? 'changes' : counted.less;
}

function sorted(subjects: unknown): string[] {
  return [...(subjects as string[])].sort();
}

/** The configuration's names of what JetStream calls otherwise. */
const SETTINGS: Readonly<Record<string, string>> = {
  max_bytes: 'nats.spoolSizeMax',
  num_replicas: 'nats.replicas',
  subjects: 'nats.partitions and nats.spoolStreams, fixed for the life of the data',
};

/** "max_bytes 20 octets -> 10 octets". */
export function changeText({ key, from, to }: Change): string {
  return `${key} ${valueText(key, from)} -> ${valueText(key, to)}`;
}

/** "max_bytes (nats.spoolSizeMax): have 20 octets, want 10 octets". */
export function differenceText({ key, from, to }: Change): string {
  const setting = SETTINGS[key];
  const name = setting === undefined ? key : `${key} (${setting})`;
  return `${name}: have ${valueText(key, from)}, want ${valueText(key, to)}`;
}

const SUBJECTS_SHOWN = 4;

function valueText(key: string, value: unknown): string {
  if (Array.isArray(value)) {
    const more = value.length > SUBJECTS_SHOWN ? `, ... (${value.length} in all)` : '';
    return value.slice(0, SUBJECTS_SHOWN).join(', ') + more;
  }
  if (typeof value !== 'number') return String(value);
  if (key === 'max_bytes') return value < 0 ? 'unlimited' : `${value} octets`;
  if (key === 'max_age') return value === 0 ? 'for ever' : `${value / NANOSECONDS / 1000} s`;
  if (key === 'duplicate_window') return `${value / NANOSECONDS / 1000} s`;
  return String(value);
}
