// The bad things, one of each kind: how each is made and kept going, on a stage of its own.
// Fails: what cannot be done throws; the trouble is then not measured.
import { randomBytes } from 'node:crypto';
import { partitionOf } from '#libs/mail/queue-id.ts';
import { subjects } from '#libs/nats/layout.ts';
import { Garbage } from './garbage.ts';
import type { StageOptions, TroubleStage } from './trouble-stage.ts';

/** It lasts until `end`. */
export interface Lasting {
  /** What else is to be seen, in a line or more. */
  says?: (seconds: number) => Promise<string[]>;
  end?: () => Promise<void>;
  /** Resolves when it is over by itself; then all is measured once more. */
  over?: () => Promise<void>;
}

export interface Trouble {
  name: string;
  /** One line. */
  what: string;
  stage: StageOptions;
  healthy: { perSecond: number; octets: number };
  /** It is looked at for so many spans: what fills a stream takes its time. */
  spans?: number;
  /** What cannot be reached while it lasts: nobody can store mail where there is no room. */
  bar?: 'none';
  /** What goes on before it, too. */
  prepare?: (stage: TroubleStage) => void;
  begin: (stage: TroubleStage) => Promise<Lasting>;
}

const OCTETS = 4096;
const USUAL = { perSecond: 200, octets: OCTETS };
const UNREADABLE = Buffer.from([0x0f, 0xff, 0xff, 0xff, 0xff, 0xff]);

/** Records that nobody can read: with an index that is none, with none at all, and with nothing in them. */
function spoil(stage: TroubleStage, partition: number): void {
  const subject = subjects.spool(partition);
  stage.link.publishRecord(subject, UNREADABLE, { 'Postrider-Index': 'no base64 !' });
  stage.link.publishRecord(subject, randomBytes(2000), {});
  stage.link.publishRecord(subject, Buffer.alloc(0), {});
}

/** Every second, until the end. */
function everySecond(act: () => void | Promise<void>): Lasting {
  const timer = setInterval(
    () => void Promise.resolve(act()).catch((error) => console.log(String(error))),
    1000,
  );
  return { end: () => Promise.resolve(clearInterval(timer)) };
}

const unreadable: Trouble = {
  name: 'unreadable-record',
  what: 'three records that nobody can read in one partition of SPOOL',
  stage: {},
  healthy: USUAL,
  spans: 3,
  begin: (stage) => {
    spoil(stage, 3);
    return Promise.resolve({});
  },
};

const unreadableAll: Trouble = {
  name: 'unreadable-records',
  what: 'three records that nobody can read in every partition of two SPOOL streams, again each second',
  stage: { spoolStreams: 2 },
  healthy: USUAL,
  spans: 3,
  begin: (stage) =>
    Promise.resolve(
      everySecond(() => {
        for (const k of stage.streams) for (const p of stage.partitionsOf(k)) spoil(stage, p);
      }),
    ),
};

const slowDots: Trouble = {
  name: 'slow-dots',
  what: 'a host that answers the final dot after 590 s gets 10 mails/s (40 at a time), while packs fill',
  stage: {},
  healthy: USUAL,
  spans: 3,
  begin: (stage) => {
    stage.offer({ domain: 'slow.test', local: 'slow', perSecond: 10, octets: OCTETS, sessions: 4 });
    return Promise.resolve({});
  },
};

const SMALL_STORE_OCTETS = 12 * 1024 ** 2;
const LEFT_OCTETS = 8 * 1024 ** 2;
const OVER_WITHIN_MS = 240_000;

/** Mail of 64 KiB for a dead host beside a small STORE; when all of it has expired there is room again. */
async function dead(stage: TroubleStage, offered: { perSecond: number; mails: number }): Promise<Lasting> {
  await stage.reconfigure('STORE_0', { max_bytes: SMALL_STORE_OCTETS });
  const sender = stage.offer({ domain: 'dead.test', octets: 65_536, sessions: 8, ...offered });
  const says = async () => {
    const [store, spool] = [await stage.octetsOf('STORE_0'), await stage.octetsOf('SPOOL_0')];
    const waiting = await stage.cluster.sumOf('queue', 'postrider_queue_mails');
    return [
      `dead: ${sender.accepted.size} accepted; STORE_0 ${mib(store)}, SPOOL_0 ${mib(spool)}, ${waiting} mails in the queue`,
    ];
  };
  const over = async () => {
    sender.stop();
    const isOver = async () =>
      (await stage.octetsOf('STORE_0')) < LEFT_OCTETS &&
      ((await stage.cluster.sumOf('queue', 'postrider_queue_mails')) ?? 0) < 100;
    await stage.cluster.until(
      'room again',
      async () => ((await isOver()) ? true : undefined),
      OVER_WITHIN_MS,
    );
  };
  return { says, over };
}

const mib = (octets: number) => `${(octets / 1024 ** 2).toFixed(1)} MiB`;

const storeFull: Trouble = {
  name: 'store-full',
  what: 'mail for a dead host, 0.65 MB/s, 8 MB more than STORE (12 MiB) has room for; expires after 60 s',
  stage: { spoolSizeMax: '32 MiB', retry: { expireAfter: '60 s', delayWarningAfter: '30 s' } },
  healthy: { perSecond: 100, octets: 2048 },
  spans: 4,
  begin: (stage) => dead(stage, { perSecond: 10, mails: 320 }),
};

const allFull: Trouble = {
  name: 'all-full',
  what: 'mail for a dead host, 1.3 MB/s, until SPOOL (32 MiB) is at its mark, too; expires after 60 s',
  stage: { spoolSizeMax: '32 MiB', retry: { expireAfter: '60 s', delayWarningAfter: '30 s' } },
  healthy: { perSecond: 100, octets: 2048 },
  spans: 4,
  bar: 'none',
  begin: (stage) => dead(stage, { perSecond: 20, mails: 100_000 }),
};

/** Mail that is deferred once and moves to STORE; how much of it arrives, by stream, in the last seconds. */
function greylisted(stage: TroubleStage): Lasting {
  return {
    says: async (seconds) => {
      const nowMs = Date.now();
      const arrivals = (await stage.other.ask('arrivals')).filter(({ token }) => token.startsWith('grey'));
      const rate = (stream: number, fromMs: number) => {
        const arrived = arrivals.filter(
          ({ queueIds, atMs }) =>
            partitionOf(queueIds[0]!) % stage.streams.length === stream &&
            atMs![0]! >= fromMs &&
            atMs![0]! < fromMs + seconds * 1000,
        );
        return arrived.length / seconds;
      };
      return stage.streams.map((k) => {
        const [before, during] = [rate(k, nowMs - 2 * seconds * 1000), rate(k, nowMs - seconds * 1000)];
        const share = ((100 * during) / before).toFixed(0);
        return `greylisted mail of stream ${k} delivered: ${before.toFixed(1)}/s before, ${during.toFixed(1)}/s while it lasts (${share} %)`;
      });
    },
  };
}

const offerGrey = (stage: TroubleStage) =>
  void stage.offer({ domain: 'grey.test', local: 'grey', perSecond: 100, octets: 2048, sessions: 8 });

const oneStoreOut = (name: string, what: string, change: Record<string, unknown>): Trouble => ({
  name,
  what: `${what}, beside 100 greylisted mails/s`,
  stage: { spoolStreams: 2 },
  healthy: { perSecond: 100, octets: 2048 },
  prepare: offerGrey,
  begin: async (stage) => {
    await stage.reconfigure('STORE_1', change);
    return greylisted(stage);
  },
});

const storeSealed = oneStoreOut('store-sealed', 'one of two STORE streams is sealed', {
  sealed: true,
  deny_delete: true,
  deny_purge: true,
});
const storeSilent = oneStoreOut('store-silent', 'nobody answers for one of two STORE streams', {
  subjects: ['elsewhere'],
});

const spoolFull: Trouble = {
  name: 'spool-full',
  what: 'one of two SPOOL streams has no room',
  stage: { spoolStreams: 2 },
  healthy: USUAL,
  begin: async (stage) => {
    await stage.reconfigure('SPOOL_0', { max_bytes: 64 });
    return {};
  },
};

const garbage: Trouble = {
  name: 'garbage',
  what: 'messages that nobody can read: 100/s on presence.*, and 100/s on all other subjects in turn',
  stage: { spoolStreams: 2 },
  healthy: USUAL,
  begin: (stage) => Promise.resolve(Garbage.start(stage)),
};

const lostPack: Trouble = {
  name: 'lost-pack',
  what: 'each second the pack of a mail for a dead host is deleted by hand',
  stage: {},
  healthy: USUAL,
  spans: 3,
  begin: (stage) => {
    const dead = stage.offer({ domain: 'dead.test', perSecond: 5, octets: OCTETS, sessions: 4 });
    let gone = 0;
    const seen = new Set<string>();
    const lasting = everySecond(async () => {
      const fresh = [...dead.accepted.values()].filter((id) => !seen.has(id));
      for (const id of dead.accepted.values()) seen.add(id);
      gone += await deletePackOf(stage, fresh.at(-1));
    });
    return Promise.resolve({ ...lasting, says: () => Promise.resolve([`${gone} packs deleted`]) });
  },
};

const LOOK_BACK = 60;

/** Finds the pack of the mail among the last ones, and deletes it; how many were found. */
async function deletePackOf(stage: TroubleStage, queueId: string | undefined): Promise<number> {
  if (queueId === undefined) return 0;
  const { state } = await stage.call<{ state: { last_seq: number } }>('STREAM.INFO.SPOOL_0');
  for (let seq = state.last_seq; seq > state.last_seq - LOOK_BACK; seq--) {
    const got = await stage
      .call<{ message: { data: string } }>('STREAM.MSG.GET.SPOOL_0', { seq })
      .catch(() => undefined);
    if (got === undefined || !Buffer.from(got.message.data, 'base64').includes(queueId)) continue;
    await stage.call('STREAM.MSG.DELETE.SPOOL_0', { seq, no_erase: true });
    return 1;
  }
  return 0;
}

export const TROUBLES: readonly Trouble[] = [
  unreadable,
  unreadableAll,
  slowDots,
  storeFull,
  allFull,
  storeSealed,
  storeSilent,
  spoolFull,
  garbage,
  lostPack,
];
