import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FieldScanner } from '#libs/header/field-scanner.ts';
import type { RecordToStore, Stored } from '#libs/nats/records.ts';
import { DataReader } from '#libs/smtp/data-reader.ts';
import type { CommitTrouble } from '#libs/smtp/server-session.ts';
import { ArrivingMail, type MailOwner, READ_OCTETS } from './arriving-mail.actor.ts';
import { ChunkStore } from './chunk-store.actor.ts';
import { MemoryBudget } from './memory-budget.ts';
import type { PackableMail } from './packer.actor.ts';
import { testLink } from './packer-bench.ts';
import { WatchedStreams } from './stream-watch.actor.ts';
import { Streams } from './streams.machine.ts';

const KIB = 1024;
const CHUNK = 256 * KIB;
const turn = () => new Promise<void>((done) => setImmediate(done));

/** A spool whose records are answered by hand, and packs that are only looked at. */
class Spool {
  readonly budget: MemoryBudget;
  readonly chunkStore: ChunkStore;
  readonly chunkSize = CHUNK;
  frameOctetsMax = 8 * 1024 * KIB;
  readonly packed: PackableMail[] = [];
  readonly packer = { add: (mail: PackableMail) => void this.packed.push(mail) };
  readonly now = () => 77;
  readonly onStored = () => {};
  /** Chunks by sequence; undefined when removed. */
  readonly records: (Buffer | undefined)[] = [];
  readonly streams = new Streams({ count: 2, softMark: 0.85, flyingMax: 8 });
  #waiting: ((stored: Stored) => void)[] = [];

  constructor(memoryMax = 64 * 1024 * KIB) {
    this.budget = new MemoryBudget(memoryMax);
    this.chunkStore = new ChunkStore({
      writer: { store: (record) => this.#store(record) },
      layout: { partitions: 4, spoolStreams: 2 },
      streams: new WatchedStreams(this.streams, { link: testLink(), ticks: () => 0 }),
      commitWaitMaxMs: 30_000,
      random: () => 0.7,
      remove: async (_stream, sequence) => {
        this.records[sequence] = undefined;
        return true;
      },
      onTrouble: () => {},
    });
  }

  get inFlight(): number {
    return this.#waiting.length;
  }

  get left(): number {
    return this.records.filter((record) => record !== undefined).length;
  }

  /** Answers the oldest record in flight. */
  async answer(kind: Exclude<Stored['kind'], 'refused'> = 'stored'): Promise<void> {
    const resolve = this.#waiting.shift()!;
    const sequence = this.records.length;
    if (kind === 'stored') this.records.push(this.#payloads.shift());
    else this.#payloads.shift();
    resolve(kind === 'stored' ? { kind, sequence, duplicate: false } : { kind });
    await turn();
  }

  readonly #payloads: Buffer[] = [];

  #store(record: RecordToStore): Promise<Stored> {
    this.#payloads.push(record.payload as Buffer);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** A session that sends `octets` of "x" and knows what its mail told. */
class Sender implements MailOwner {
  readonly told: string[] = [];
  readonly reader = new DataReader({ octetsMax: 100 * 1024 * KIB, lineOctetsMax: Number.MAX_SAFE_INTEGER });
  readonly scanner = new FieldScanner();
  readonly mail: ArrivingMail;
  flow: 'flows' | 'full' = 'flows';

  constructor(spool: Spool) {
    if (!spool.budget.admit(READ_OCTETS)) throw new Error('no room');
    const transaction = {
      reversePath: '',
      bodyType: '7BIT' as const,
      declaredSize: 0,
      forwardPaths: ['r@b'],
    };
    const source = {
      owner: this,
      reader: this.reader,
      scanner: this.scanner,
      clientAddress: '',
      listenerRole: 'relay' as const,
      tlsVersion: '',
      span: undefined,
    };
    this.mail = new ArrivingMail(spool, source, transaction, READ_OCTETS);
  }
  roomAgain(): void {
    this.told.push('room');
    this.flow = 'flows';
  }
  committed(queueId: string): void {
    this.told.push(queueId);
  }
  commitFailed(trouble: CommitTrouble): void {
    this.told.push(trouble);
  }

  send(data: Buffer): void {
    const rest = this.reader.push(data);
    if (rest === undefined) this.flow = this.mail.arrived();
    else this.mail.ended();
  }

  /** Sends until the mail is full, in reads of 64 KiB; how many octets. */
  fill(octets: number): number {
    let sent = 0;
    for (; sent < octets && this.flow === 'flows'; sent += READ_OCTETS)
      this.send(Buffer.alloc(READ_OCTETS, 'x'));
    return sent;
  }

  end(): CommitTrouble | undefined {
    this.send(Buffer.from('\r\n.\r\n'));
    return this.mail.finish({ name: 'client', protocol: 'SMTP' });
  }
}

describe('A small mail', () => {
  test('is packed as it came, within what it needs of the budget, and gives it back', () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.send(Buffer.from('Received: a\r\nX: y\r\n\r\nhello\r\n.'));
    sender.send(Buffer.from('.dot\r\n.\r\n'));
    expect(sender.scanner.receivedFields).toBe(1);
    expect(sender.mail.finish({ name: 'client', protocol: 'SMTP' })).toBeUndefined();
    const [packed] = spool.packed;
    expect(Buffer.concat(packed!.pieces).toString()).toBe('Received: a\r\nX: y\r\n\r\nhello\r\n.dot\r\n');
    expect(packed).toMatchObject({ frameOctets: 34, dataOctets: 34, hasDotLines: true, chunks: [] });
    expect([packed!.wholeSinceMs, spool.budget.used]).toEqual([77, 34]);
    packed!.stored('id');
    expect([sender.told, spool.budget.used]).toEqual([['id'], 0]);
  });

  test('whose data has no room in a pack beside its envelope goes to STORE', async () => {
    const spool = new Spool();
    spool.frameOctetsMax = 192 * KIB;
    const fits = new Sender(spool);
    fits.send(Buffer.alloc(190 * KIB, 'x'));
    fits.end();
    expect(spool.packed).toHaveLength(1);
    const crowded = new Sender(spool);
    for (let i = 0; i < 1000; i++) crowded.mail.transaction.forwardPaths.push(`recipient-${i}@b.example`);
    crowded.send(Buffer.alloc(190 * KIB, 'x'));
    crowded.end();
    expect(spool.packed).toHaveLength(1);
    await spool.answer();
    expect(spool.packed[1]).toMatchObject({ frameOctets: 0, dataOctets: 190 * KIB + 2 });
    expect(spool.packed[1]!.chunks).toHaveLength(1);
  });

  test('that is not stored gives it back too', () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.end();
    spool.packed[0]!.refused('full');
    expect([sender.told, spool.budget.used]).toEqual([['full'], 0]);
  });

  test('does not hold on to a large buffer that it is a small part of', () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    const read = Buffer.alloc(64 * KIB, 'x');
    read.write('tail\r\n.\r\n', read.length - 9);
    sender.send(read.subarray(read.length - 9));
    sender.mail.finish({ name: 'client', protocol: 'SMTP' });
    expect(spool.packed[0]!.pieces[0]!.buffer.byteLength).toBeLessThanOrEqual(Buffer.poolSize);
  });

  test('that comes octet by octet is a few pieces', () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    for (let i = 0; i < 40 * KIB; i++) sender.send(Buffer.from('x'));
    sender.end();
    expect(spool.packed[0]!.frameOctets).toBe(40 * KIB + 2);
    expect(spool.packed[0]!.pieces.length).toBeLessThan(8);
  });

  test('is not wanted when its client goes before it is in a pack', () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.end();
    sender.mail.ownerGone();
    expect(spool.packed[0]!.isWanted).toBe(false);
    spool.packed[0]!.dropped();
    expect([sender.told, spool.budget.used]).toEqual([[], 0]);
  });
});

describe('A large mail', () => {
  test('goes to STORE in chunks of the same size, and is packed when all are there', async () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.fill(4 * CHUNK);
    expect(sender.end()).toBeUndefined();
    for (let i = 0; i < 4; i++) await spool.answer();
    expect(spool.packed).toEqual([]);
    await spool.answer();
    expect(spool.packed[0]).toMatchObject({ frameOctets: 0, dataOctets: 4 * CHUNK + 2, pieces: [] });
    expect(spool.packed[0]!.chunks).toEqual(
      [CHUNK, CHUNK, CHUNK, CHUNK, 2].map((length, sequence) => ({ stream: 'STORE_0', sequence, length })),
    );
    expect(spool.budget.used).toBe(0);
  });

  test('of exactly the chunk size is still whole', () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.send(Buffer.concat([Buffer.alloc(CHUNK - 2, 'x'), Buffer.from('\r\n.\r\n')]));
    sender.mail.finish({ name: 'client', protocol: 'SMTP' });
    expect(spool.packed[0]).toMatchObject({ frameOctets: CHUNK, chunks: [] });
  });

  test('has four chunks in flight, then waits (A3)', async () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    const sent = sender.fill(100 * CHUNK);
    expect([spool.inFlight, sender.flow]).toEqual([4, 'full']);
    expect(sent).toBeLessThanOrEqual(5 * CHUNK + READ_OCTETS);
    await spool.answer();
    expect([sender.told, spool.inFlight]).toEqual([['room'], 4]);
  });

  test('shares the window of all mails, in turn', async () => {
    const spool = new Spool();
    const senders = Array.from({ length: 6 }, () => new Sender(spool));
    for (const sender of senders) sender.fill(100 * CHUNK);
    expect(spool.inFlight).toBe(16);
    expect(senders.map(({ flow }) => flow)).toEqual(Array.from({ length: 6 }, () => 'full'));
    while (spool.inFlight > 0) await spool.answer();
    expect(senders.every(({ told }) => told.includes('room'))).toBe(true);
  });

  test.each([
    ['unavailable', 'unavailable'],
    // The server takes less than when the chunk was cut.
    ['too-big', 'unavailable'],
  ] as const)(
    'with a chunk that is %s is read to its end, refused as %s, and forgotten',
    async (kind, trouble) => {
      const spool = new Spool();
      const sender = new Sender(spool);
      sender.fill(3 * CHUNK);
      await spool.answer();
      await spool.answer(kind);
      sender.fill(20 * CHUNK);
      while (spool.inFlight > 0) await spool.answer();
      await turn();
      expect([sender.flow, sender.end(), spool.left, spool.budget.used]).toEqual(['flows', trouble, 0, 0]);
      expect(sender.told).not.toContain(trouble);
    },
  );

  test('goes on in another stream when its own is full', async () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.fill(3 * CHUNK);
    sender.end();
    await spool.answer();
    await spool.answer('full');
    while (spool.inFlight > 0) await spool.answer();
    const [mail] = spool.packed;
    expect(mail!.chunks.map(({ stream }) => stream)).toEqual(['STORE_0', 'STORE_1', 'STORE_0', 'STORE_0']);
    expect(spool.left).toBe(4);
  });

  test('is refused when all streams are full, and its chunks are forgotten', async () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.fill(3 * CHUNK);
    await spool.answer();
    for (let i = 0; i < 2; i++) await spool.answer('full');
    while (spool.inFlight > 0) await spool.answer('full');
    sender.fill(4 * CHUNK);
    await turn();
    expect([spool.inFlight, sender.end(), spool.left, spool.budget.used]).toEqual([0, 'full', 0, 0]);
  });

  test('does not wait for a stream that is slow with the chunks of others', async () => {
    const spool = new Spool();
    for (let k = 0; k < 8; k++) spool.streams.sent(0, 1);
    const sender = new Sender(spool);
    sender.fill(2 * CHUNK);
    sender.end();
    while (spool.inFlight > 0) await spool.answer();
    expect(spool.packed[0]!.chunks.every(({ stream }) => stream === 'STORE_1')).toBe(true);
  });

  test('whose last chunk fails hears it', async () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.fill(2 * CHUNK);
    sender.end();
    await spool.answer();
    await spool.answer('conflict');
    await spool.answer();
    await turn();
    expect([sender.told, spool.left, spool.budget.used]).toEqual([['unavailable'], 0, 0]);
  });

  test.each([
    ['full', 0],
    ['unavailable', 3],
  ] as const)('whose commit record is %s leaves %i chunks (A5)', async (trouble, left) => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.fill(2 * CHUNK);
    sender.end();
    while (spool.inFlight > 0) await spool.answer();
    spool.packed[0]!.refused(trouble);
    await turn();
    expect([sender.told, spool.left]).toEqual([[trouble], left]);
  });

  test.each<[string, (mail: ArrivingMail) => void]>([
    ['it was abandoned', (mail) => mail.abandon(550)],
    ['its client is gone', (mail) => mail.ownerGone()],
  ])('leaves nothing after %s', async (_what, end) => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.fill(3 * CHUNK);
    await spool.answer();
    end(sender.mail);
    while (spool.inFlight > 0) await spool.answer();
    await turn();
    expect([sender.told, spool.left, spool.budget.used]).toEqual([[], 0, 0]);
  });

  test('that is condemned costs nothing more', async () => {
    const spool = new Spool();
    const sender = new Sender(spool);
    sender.fill(2 * CHUNK);
    sender.send(Buffer.from('bare\nline'));
    sender.fill(10 * CHUNK);
    while (spool.inFlight > 0) await spool.answer();
    await turn();
    expect([sender.flow, spool.left, spool.budget.used]).toEqual(['flows', 0, 0]);
  });
});

describe('Memory that is short', () => {
  test('sends what is here to STORE as a smaller chunk, and lets the client go on (A2)', async () => {
    const spool = new Spool(200 * KIB);
    const sender = new Sender(spool);
    const sent = sender.fill(1000 * KIB);
    expect([sender.flow, spool.inFlight]).toEqual(['full', 1]);
    expect(sent).toBeLessThanOrEqual(200 * KIB);
    await spool.answer();
    expect([sender.flow, spool.budget.used]).toEqual(['flows', READ_OCTETS]);
    sender.end();
    await spool.answer();
    expect(spool.packed[0]!.chunks.map(({ length }) => length)).toEqual([sent, 2]);
  });

  test('never holds up all, and is never exceeded (A1, A4)', async () => {
    const size = fc.integer({ min: 1, max: 20 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(size, { minLength: 3, maxLength: 3 }),
        fc.infiniteStream(fc.nat(5)),
        async (sizes, picks) => {
          const spool = new Spool(4 * READ_OCTETS);
          const senders = sizes.map((reads) => ({ sender: new Sender(spool), reads }));
          for (let steps = 0; spool.packed.length < senders.length; steps++) {
            expect(steps).toBeLessThan(2000);
            expect(spool.budget.used).toBeLessThanOrEqual(4 * READ_OCTETS);
            const pick = picks.next().value;
            const one = senders[pick];
            if (one === undefined || one.reads < 0 || one.sender.flow === 'full') {
              if (spool.inFlight > 0) await spool.answer();
            } else if (one.reads-- > 0) one.sender.send(Buffer.alloc(READ_OCTETS, 'x'));
            else one.sender.end();
          }
          expect(spool.packed.map(({ dataOctets }) => dataOctets).sort()).toEqual(
            sizes.map((reads) => reads * READ_OCTETS + 2).sort(),
          );
          for (const mail of spool.packed) mail.stored('id');
          expect(spool.budget.used).toBe(0);
        },
      ),
      { numRuns: 50 },
    );
  });
});
