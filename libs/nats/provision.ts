// Makes the streams, or checks that they are what they must be. Any number of instances may do it at once.
//
// Fails: throws when JetStream is too old, does not answer within a minute, or has a stream that does not fit.
import { callApi } from './api.ts';
import { type Layout, subjects } from './layout.ts';
import type { Link } from './link.ts';

/** JetStream API level of nats-server 2.15. */
const API_LEVEL_MIN = 4;
const CALL_WAIT_MS = 3000;
const GIVE_UP_AFTER_MS = 60_000;
const AGAIN_MS = 500;
const NANOSECONDS = 1_000_000;
/** Chunks that no mail names, left by an ingress that died, go after 400 days; no mail waits or is held as long. */
const ORPHAN_AGE_MS = 400 * 86_400_000;
const NAME_IN_USE = 10058;
const NO_RESOURCES = 10047;

export interface StreamConfig {
  name: string;
  subjects: string[];
  [key: string]: unknown;
}

/** Every stream of the layout. */
export function streamsOf(layout: Layout): StreamConfig[] {
  const common = {
    retention: 'limits',
    storage: 'file',
    num_replicas: layout.replicas,
    allow_direct: true,
    // Nothing vanishes by age: the owner of a partition removes what is settled, and nobody else does.
    max_age: 0,
    duplicate_window: 600_000 * NANOSECONDS,
  };
  const streams: StreamConfig[] = [];
  for (let k = 0; k < layout.spoolStreams; k++) {
    const of = (subject: (p: number) => string): string[] => {
      const own: string[] = [];
      for (let p = k; p < layout.partitions; p += layout.spoolStreams) own.push(subject(p));
      return own;
    };
    const bounded = { ...common, discard: 'new', max_bytes: layout.spoolSizeMax };
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
    { ...common, name: 'SETTLE', subjects: ['settle.*'] },
    {
      ...common,
      name: 'QUEUE',
      subjects: ['queue.*.owner', 'queue.*.m.*'],
      allow_atomic: true,
    },
  );
  return streams;
}

/** Resolves when all streams are there. */
export async function provision(link: Link, layout: Layout): Promise<void> {
  const untilMs = Date.now() + GIVE_UP_AFTER_MS;
  await checkLevel(link, untilMs);
  for (const stream of streamsOf(layout)) await ensure(link, stream, untilMs);
}

async function checkLevel(link: Link, untilMs: number): Promise<void> {
  for (;;) {
    const answer = await callApi<{ api: { level?: number } }>(link, 'INFO', undefined, CALL_WAIT_MS);
    if (answer.kind === 'ok') {
      const level = answer.value.api.level ?? 0;
      if (level >= API_LEVEL_MIN) return;
      throw new Error(`nats-server is too old: JetStream API level ${level}, needed ${API_LEVEL_MIN} (2.15)`);
    }
    if (answer.kind === 'error') throw new Error(`JetStream: ${answer.error.description ?? 'not enabled'}`);
    await pause(untilMs, 'JetStream does not answer');
  }
}

async function ensure(link: Link, wanted: StreamConfig, untilMs: number): Promise<void> {
  for (;;) {
    const made = await callApi(link, `STREAM.CREATE.${wanted.name}`, wanted, CALL_WAIT_MS);
    // Creating it again with the same settings is no error.
    if (made.kind === 'ok') return;
    if (made.kind === 'error' && made.error.err_code === NAME_IN_USE) {
      if (await adapt(link, wanted)) return;
    } else if (made.kind === 'error' && made.error.err_code === NO_RESOURCES) {
      const room = `nats.spoolSizeMax is more than the server's JetStream storage (max_file_store) has left`;
      throw new Error(`stream ${wanted.name} cannot be made: ${room}`);
    } else if (made.kind === 'error' && made.error.code < 500) {
      throw new Error(`stream ${wanted.name} cannot be made: ${made.error.description ?? made.error.code}`);
    }
    await pause(untilMs, `stream ${wanted.name} cannot be made`);
  }
}

/** The stream is there with other settings: those that may change are changed; false when JetStream does not answer. */
async function adapt(link: Link, wanted: StreamConfig): Promise<boolean> {
  const info = await callApi<{ config: StreamConfig }>(
    link,
    `STREAM.INFO.${wanted.name}`,
    undefined,
    CALL_WAIT_MS,
  );
  if (info.kind !== 'ok') return false;
  const { config } = info.value;
  if (config.subjects.toSorted().join() !== wanted.subjects.toSorted().join()) {
    throw new Error(
      `stream ${wanted.name} holds other subjects than the configuration says: ` +
        'nats.partitions and nats.spoolStreams are fixed for the life of the data',
    );
  }
  const update = await callApi(link, `STREAM.UPDATE.${wanted.name}`, { ...config, ...wanted }, CALL_WAIT_MS);
  if (update.kind === 'error') {
    throw new Error(`stream ${wanted.name} cannot be changed: ${update.error.description ?? ''}`);
  }
  return update.kind === 'ok';
}

async function pause(untilMs: number, trouble: string): Promise<void> {
  if (Date.now() > untilMs) throw new Error(trouble);
  await new Promise((done) => setTimeout(done, AGAIN_MS));
}
