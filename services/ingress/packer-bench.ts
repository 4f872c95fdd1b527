// A packer for tests: mails that note what they hear, and records that are answered by hand.
import type { RecordToStore, Stored } from '#libs/nats/records.ts';
import { decodeIndex } from '#libs/pack/pack.ts';
import type { Transaction } from '#libs/smtp/server-session.ts';
import type { TraceContext } from '#proto/postrider/v1/mail.ts';
import { type PackableMail, Packer } from './packer.actor.ts';
import { WatchedStreams } from './stream-watch.actor.ts';
import { Streams } from './streams.machine.ts';

export class TestMail implements PackableMail {
  readonly client = { name: 'client.example', protocol: 'ESMTP' } as const;
  readonly clientAddress = '192.0.2.1';
  readonly hasDotLines = false;
  readonly chunks = [];
  readonly pieces: Buffer[];
  readonly transaction: Transaction;
  trace: TraceContext | undefined = undefined;
  wholeSinceMs = 0;
  isWanted = true;
  /** What it heard. */
  readonly heard: string[] = [];

  constructor(data: string | number, forwardPaths: string[] = ['r@b.example']) {
    this.pieces = [typeof data === 'number' ? Buffer.alloc(data, 'x') : Buffer.from(data)];
    this.transaction = { reversePath: 's@a.example', bodyType: '7BIT', declaredSize: 0, forwardPaths };
  }
  get frameOctets(): number {
    return this.pieces[0]!.length;
  }
  get dataOctets(): number {
    return this.frameOctets;
  }
  stored(queueId: string): void {
    this.heard.push(queueId);
  }
  refused(trouble: string): void {
    this.heard.push(trouble);
  }
  dropped(): void {
    this.heard.push('dropped');
  }
}

/** A link that is up and answers nothing. */
export const testLink = () => ({
  connected: true,
  request: () => Promise.reject(new Error('nobody answers')),
  onReconnected: () => () => {},
});

export interface Sent {
  record: RecordToStore;
  answer: (stored: Stored | Error) => Promise<void>;
}

export const turn = () => new Promise<void>((done) => setImmediate(done));
export const STORED: Stored = { kind: 'stored', sequence: 1, duplicate: false };

export function packerWith(changes: { spoolStreams?: number; payloadMax?: number } = {}) {
  const sent: Sent[] = [];
  const troubles: string[] = [];
  let nowMs = 1_000_000;
  const store = (record: RecordToStore) =>
    new Promise<Stored>((resolve, reject) => {
      const answer = (stored: Stored | Error) => {
        if (stored instanceof Error) reject(stored);
        else resolve(stored);
        return turn();
      };
      sent.push({ record, answer });
    });
  const { spoolStreams = 1 } = changes;
  const machine = new Streams({ count: spoolStreams, softMark: 0.85, flyingMax: 1 });
  const link = testLink();
  const packer = new Packer({
    writer: { store },
    layout: { partitions: 4, spoolStreams },
    streams: new WatchedStreams(machine, { link, ticks: () => nowMs }),
    hostname: 'mx.example',
    commitWaitMaxMs: 30_000,
    payloadMax: () => changes.payloadMax ?? 8 * 1024 ** 2,
    now: () => nowMs,
    wall: () => nowMs,
    random: () => 0,
    onPack: () => {},
    onTrouble: (reason) => troubles.push(reason),
  });
  return {
    packer,
    machine,
    link,
    sent,
    troubles,
    add: (...mails: TestMail[]) => {
      for (const mail of mails) {
        mail.wholeSinceMs = nowMs;
        packer.add(mail);
      }
    },
    passes: (ms: number) => {
      nowMs += ms;
    },
  };
}

export const mailsOf = ({ record }: Sent) => decodeIndex(record.headers!['Postrider-Index']!).entries;
