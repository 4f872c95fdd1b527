// Messages that nobody can read, on every subject that a service hears or reads, again and again while mail flows.
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { Cluster } from '#kit/cluster.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { LoadSink } from '#kit/load-sink-process.ts';
import { subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { JobBatch, OutcomeBatch, OutcomeKind, Presence } from '#proto/postrider/v1/job.ts';
import { Transport } from '#proto/postrider/v1/route.ts';

const SERVICES = ['ingress', 'queue', 'resolver', 'delivery'] as const;
const PARTITIONS = 8;
const ROUNDS = 8;
const MAILS_PER_SECOND = 50;

const heartbeatOf = (service: string, instance: string) =>
  Presence.encode({
    service,
    instance,
    startedAtMs: 0,
    leaving: false,
    holds: Buffer.alloc(0),
    passive: false,
    clockMs: 0,
    wallClockMs: 0,
  }).finish();

/** No protobuf, one that ends in the middle, and nothing at all, which is a message of defaults; a member without a name. */
const NONSENSE: readonly Uint8Array[] = [
  Buffer.from([0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  Buffer.from([0x0a, 0x7f, 0x41]),
  Buffer.alloc(0),
  Buffer.from('{"not": "protobuf"}'),
  heartbeatOf('queue', ''),
];

const MAIL = '00abcdefghijklmnopqr';

/** Messages of the right kind that say what cannot be: they would be acted on. */
function impossible(subject: string): Uint8Array[] {
  const kind = subject.split('.', 1)[0];
  if (kind === 'outcome') {
    const outcome = { attemptId: `${MAIL}.1.1`, queueId: MAIL, reply: undefined, recipients: [], tls: '' };
    const outcomes = [{ ...outcome, kind: OutcomeKind.RELAYED, jobRecipients: [4_294_967_295] }];
    return ['', 'a b', 'a\r\nb', '>'].map((worker) =>
      OutcomeBatch.encode({ worker, accepted: ['x'], outcomes, sites: [] }).finish(),
    );
  }
  if (kind !== 'deliver') return [];
  const host = { name: '\0', port: 70_000, addresses: ['127.0.0.1', 'nowhere'], unixPath: '' };
  const site = { key: 'smtp:nobody:25', transport: Transport.SMTP, hosts: [host], maildir: '' };
  const job = {
    attemptId: `${MAIL}.1.1`,
    queueId: MAIL,
    epoch: 1,
    recipients: [4_294_967_295],
    startByMs: 0,
    startWithinMs: 1000,
    attempts: 0,
    ownTrace: false,
    trace: undefined,
  };
  const jobs = [
    { partition: 0, stream: 'a b' },
    { partition: 0, stream: '' },
    { partition: 0, stream: '>' },
    { partition: 1_000_000_000, stream: 'SPOOL_0' },
    { partition: 0, stream: 'SPOOL_0' },
  ];
  return jobs.map(({ partition, stream }, i) => {
    const ref = { stream, sequence: 1_000_000, offset: 4_294_967_295, length: 4_294_967_295 };
    const one = { ...job, attemptId: `${MAIL}.${i}.1`, partition, ref };
    return JobBatch.encode({ site, jobs: [one], owner: 'nobody', clockMs: 0 }).finish();
  });
}

function subjectsHeard(workers: readonly string[]): string[] {
  const numbers = [...Array(PARTITIONS).keys()];
  return [
    ...numbers.flatMap((p) => [subjects.inflight(p), subjects.outcome(p), subjects.checkpoint(p)]),
    ...numbers.map((shard) => subjects.deliver(shard)),
    ...workers.map((worker) => subjects.outcomeAck(worker)),
    ...SERVICES.map((service) => subjects.presence(service)),
    subjects.resolveRoute,
    subjects.resolveRecipient,
    'admin.queue.list',
    'admin.queue.flush',
  ];
}

async function disturb(link: Link, workers: readonly string[]): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    for (const subject of subjectsHeard(workers)) {
      for (const data of [...NONSENSE, ...impossible(subject)]) link.publish(subject, data);
    }
    await link.askRecord({ subject: subjects.traceRules, payload: NONSENSE[0]!, timeoutMs: 2000 });
    await pause(500);
  }
}

describe('Messages that nobody can read', () => {
  test('end no process and stop no mail, and each is counted', async () => {
    const sink = await LoadSink.start({});
    const routes = [{ domain: 'ok.test', to: `127.0.0.1:${sink.port}` }];
    const cluster = await Cluster.start({
      instances: { queue: 2, delivery: 2, ingress: 2 },
      config: { routes, nats: { partitions: PARTITIONS } },
    });
    const link = await connectLink({ service: 'disturber', url: cluster.nats.url });
    try {
      const count = (ROUNDS * MAILS_PER_SECOND) / 2;
      const load = new LoadSender({
        ports: [cluster.smtpPort(0, 0), cluster.smtpPort(0, 1)],
        sessions: 4,
        mails: count,
        octets: 1024,
        tokenPrefix: 'unreadable',
        forwardPath: (mail) => `r${mail}@ok.test`,
        perSecond: MAILS_PER_SECOND,
      });
      const workers = cluster.processes().flatMap(({ ready }) => (ready?.instance as string) ?? []);
      await Promise.all([load.run(), disturb(link, workers)]);
      await cluster.until('all mails to arrive', async () =>
        (await sink.ask('taken')) >= count ? true : undefined,
      );
      expect(cluster.processes().map(({ name, running }) => `${name} ${running}`)).toEqual(
        cluster.processes().map(({ name }) => `${name} true`),
      );
      for (const service of ['queue', 'delivery'] as const) {
        expect(await cluster.sumOf(service, 'postrider_nats_unreadable_total')).toBeGreaterThan(ROUNDS);
      }
      expect(await cluster.sumOf('queue', 'postrider_queue_partitions')).toBe(PARTITIONS);
    } finally {
      await link.close();
      await cluster.stop();
      await sink.stop();
    }
  }, 90_000);
});
