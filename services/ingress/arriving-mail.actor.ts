// The data of one mail from DATA to its commit: within the memory budget, scanned for its header fields, and, when it is
// large or memory is short, passed on to STORE in chunks while it arrives. Its owner is the session.
//
//   arriving --finish--> ending --all chunks stored--> packed --> over
//       |  \                |                            |
//       |   chunk failed -> doomed --finish--> over      +-- its client has gone: dropped unless it is in a pack
//       +---- abandon ----> over
//
// Invariants:
//  A1  While it arrives, `reserved` covers all octets that are here and one more read of the socket; when it cannot,
//      the owner is told `full`, and `roomAgain` once it can.
//  A2  A mail that was let in is never refused for want of memory: what is here goes to STORE first.
//  A3  At most CHUNKS_IN_FLIGHT_MAX chunks are in flight.
//  A4  What it reserved is given back once, chunk by chunk as they land, the rest when it is over.
//  A5  Chunks that no stored envelope can name are removed; when that is not certain they are left.
//
// Fails: a chunk that is not stored dooms the mail; its trouble is told when the data has ended.
import type { FieldScanner } from '#libs/header/field-scanner.ts';
import { commitTrouble, type Stored } from '#libs/nats/records.ts';
import type { DataReader } from '#libs/smtp/data-reader.ts';
import type { ClientGreeting, CommitTrouble, Transaction } from '#libs/smtp/server-session.ts';
import type { Chunk, TraceContext } from '#proto/postrider/v1/mail.ts';
import type { AcceptedFrom, AcceptSpan } from './accept-span.ts';
import type { ChunkStore, ChunkWaiter } from './chunk-store.actor.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { aroundData, type WholeMail } from './pack-draft.ts';
import type { PackableMail, Packer } from './packer.actor.ts';

export interface MailOwner {
  /** Reading may go on; only after `full`. */
  roomAgain(): void;
  committed(queueId: string): void;
  commitFailed(trouble: CommitTrouble): void;
}

/** What all mails of a process share. */
export interface Spool {
  budget: MemoryBudget;
  chunkStore: Pick<
    ChunkStore,
    'store' | 'hasRoom' | 'waitForRoom' | 'stopWaiting' | 'forget' | 'partitionFor'
  >;
  packer: Pick<Packer, 'add'>;
  /** Octets; mail over it is stored in chunks of this size. */
  readonly chunkSize: number;
  /** Octets of a frame that a pack has room for; the data of mail over it is stored in chunks, too. */
  readonly frameOctetsMax: number;
  now: () => number;
  /** The mail is stored. */
  onStored: (mail: WholeMail, queueId: string) => void;
}

export interface MailSource extends AcceptedFrom {
  owner: MailOwner;
  reader: DataReader;
  scanner: FieldScanner;
  span: AcceptSpan | undefined;
}

/** The most that one read of a socket brings. */
export const READ_OCTETS = 64 * 1024;
const CHUNKS_IN_FLIGHT_MAX = 4;
/** Octets that the reader gathers before they are taken. */
const TAKE_OCTETS = 32 * 1024;
/** Pieces that are smaller on average are copied into one: each costs about 200 octets of its own. */
const PIECE_OCTETS_MIN = 512;
/** Pieces that hold on to a buffer so many times their size are copied out of it. */
const WASTE_FACTOR = 4;

const NO_CLIENT: ClientGreeting = { name: '', protocol: 'SMTP' };

type Stage = 'arriving' | 'ending' | 'packed' | 'doomed' | 'over';

export class ArrivingMail implements PackableMail, ChunkWaiter {
  readonly transaction: Transaction;
  readonly clientAddress: string;
  client: ClientGreeting = NO_CLIENT;
  chunks: Chunk[] = [];
  pieces: Buffer[] = [];
  /** Octets in `pieces`. */
  frameOctets = 0;
  hasDotLines = false;
  wholeSinceMs = 0;
  isWanted = true;
  readonly #spool: Spool;
  readonly #source: MailSource;
  #stage: Stage = 'arriving';
  #trouble: CommitTrouble = 'unavailable';
  #reserved: number;
  /** Octets that were taken out of the reader. */
  #taken = 0;
  #inFlight = 0;
  #inFlightOctets = 0;
  #partition = -1;
  /** The owner was told `full`. */
  #isFull = false;

  /** `reserved` octets of the budget were taken for it. */
  constructor(spool: Spool, source: MailSource, transaction: Transaction, reserved: number) {
    this.#spool = spool;
    this.#source = source;
    this.transaction = transaction;
    this.clientAddress = source.clientAddress;
    this.#reserved = reserved;
  }

  get dataOctets(): number {
    return this.#taken;
  }

  get trace(): TraceContext | undefined {
    return this.#source.span?.context;
  }

  /** The reader has more, and the mail goes on. `full`: read nothing until `roomAgain`. */
  arrived(): 'flows' | 'full' {
    const { reader } = this.#source;
    if (this.#stage !== 'arriving' || reader.end !== 'complete') {
      this.#discard();
      return 'flows';
    }
    if (reader.octets - this.#taken >= TAKE_OCTETS) this.#take();
    this.#isFull = !this.#makeRoom();
    return this.#isFull ? 'full' : 'flows';
  }

  /** The reader has the rest: its header section is scanned after this. */
  ended(): void {
    if (this.#stage === 'arriving' && this.#source.reader.end === 'complete') this.#take();
    else this.#discard();
  }

  /** Begins the commit; the trouble when it has failed already, else the owner hears later. */
  finish(client: ClientGreeting): CommitTrouble | undefined {
    this.client = client;
    this.#source.span?.dataEnded(this.#spool.now());
    this.hasDotLines = this.#source.reader.hasDotLines;
    if (this.#stage === 'doomed') {
      this.#endWith(this.#trouble);
      return this.#trouble;
    }
    this.#stage = 'ending';
    this.#goOn();
    return undefined;
  }

  /** Forgets the data, which was refused with `code`; 0 when the client is gone. Nothing more is told. */
  abandon(code: number): void {
    if (this.#stage === 'over') return;
    this.#source.span?.abandoned(code);
    this.#close('remove');
  }

  /** The client is gone: whether the mail is still stored is nobody's concern any more. */
  ownerGone(): void {
    if (this.#stage === 'packed') this.isWanted = false;
    else this.abandon(0);
  }

  stored(queueId: string): void {
    this.#source.span?.stored({ queueId, octets: this.dataOctets, atMs: this.#spool.now() });
    this.#spool.onStored(this, queueId);
    this.#close('keep');
    this.#source.owner.committed(queueId);
  }

  refused(trouble: CommitTrouble): void {
    this.#endWith(trouble);
    this.#source.owner.commitFailed(trouble);
  }

  dropped(): void {
    this.abandon(0);
  }

  chunkRoom(): void {
    this.#goOn();
  }

  /** Moves pieces from the reader to here. */
  #take(): void {
    const { reader, scanner } = this.#source;
    const octets = reader.octets - this.#taken;
    this.#taken = reader.octets;
    this.frameOctets += octets;
    let pieces = reader.takePieces();
    for (let i = 0; i < pieces.length && !scanner.finished; i++) scanner.push(pieces[i]!);
    if (isWasteful(pieces, octets)) pieces = [Buffer.concat(pieces)];
    for (const piece of pieces) this.pieces.push(piece);
  }

  /** True when there is room for one more read (A1). */
  #makeRoom(): boolean {
    this.#sendChunks(this.#spool.chunkSize);
    if (this.frameOctets > this.#spool.chunkSize) return false; // too much is in flight
    if (this.#reserve()) return true;
    if (this.#inFlight === 0) {
      this.#take();
      this.#sendChunks(0); // A2
    }
    return this.#reserve();
  }

  /** Octets that are here: in the reader, in pieces, in flight. */
  get #here(): number {
    return this.#source.reader.octets - this.#taken + this.frameOctets + this.#inFlightOctets;
  }

  #reserve(): boolean {
    const missing = this.#here + READ_OCTETS - this.#reserved;
    if (missing <= 0) return true;
    if (!this.#spool.budget.grow(missing)) return false;
    this.#reserved += missing;
    return true;
  }

  /** Gives back what it does not need. */
  #shrinkTo(octets: number): void {
    const spare = this.#reserved - octets;
    if (spare <= 0) return;
    this.#spool.budget.giveBack(spare);
    this.#reserved = octets;
  }

  /** Sends chunks while more than `leave` octets are here. */
  #sendChunks(leave: number): void {
    const { chunkStore, chunkSize } = this.#spool;
    while (this.frameOctets > leave) {
      if (this.#inFlight >= CHUNKS_IN_FLIGHT_MAX) return; // A3
      this.#partition = chunkStore.partitionFor(this.#partition);
      if (!chunkStore.hasRoom(this.#partition)) {
        chunkStore.waitForRoom(this.#partition, this);
        return;
      }
      this.#sendChunk(Math.min(this.frameOctets, chunkSize));
    }
  }

  #sendChunk(octets: number): void {
    const { chunkStore } = this.#spool;
    const pieces = cutOff(this.pieces, octets);
    const position = this.chunks.length;
    this.chunks.push({ stream: '', sequence: 0, length: octets });
    this.frameOctets -= octets;
    this.#inFlight++;
    this.#inFlightOctets += octets;
    chunkStore.store(this.#partition, pieces, (stored) => this.#landed(position, octets, stored));
  }

  #landed(position: number, octets: number, stored: Chunk | Exclude<Stored['kind'], 'stored'>): void {
    this.#inFlight--;
    this.#inFlightOctets -= octets;
    switch (this.#stage) {
      case 'arriving':
      case 'ending':
        if (typeof stored === 'string') {
          // Cut to what the server took then: it takes less now, and the mail fits when it comes again.
          this.#doom(stored === 'too-big' ? 'unavailable' : commitTrouble(stored));
        } else {
          this.chunks[position] = stored;
          this.#goOn();
        }
        return;
      case 'doomed':
      case 'over':
        this.#shrinkTo(this.#inFlightOctets);
        if (typeof stored !== 'string') this.#spool.chunkStore.forget([stored]); // A5
        return;
      case 'packed':
        throw new Error('a chunk landed after its mail was packed');
    }
  }

  /** There is more room than before. */
  #goOn(): void {
    if (this.#stage === 'arriving') {
      if (!this.#makeRoom()) return;
      this.#shrinkTo(this.#here + READ_OCTETS);
      this.#tellRoom();
    } else if (this.#stage === 'ending') {
      const isLarge = this.#partition >= 0 || !this.#fitsInPack;
      if (isLarge) this.#sendChunks(0);
      this.#shrinkTo(this.#here); // A4
      if (!isLarge || this.frameOctets + this.#inFlight === 0) this.#pack();
    }
  }

  get #fitsInPack(): boolean {
    const { chunkSize, frameOctetsMax } = this.#spool;
    return this.frameOctets <= Math.min(chunkSize, frameOctetsMax - aroundData(this));
  }

  #tellRoom(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#source.owner.roomAgain();
  }

  #pack(): void {
    this.#stage = 'packed';
    this.wholeSinceMs = this.#spool.now();
    this.#spool.packer.add(this);
  }

  /** Its data cannot be stored: what comes is read and dropped. */
  #doom(trouble: CommitTrouble): void {
    const wasEnding = this.#stage === 'ending';
    this.#trouble = trouble;
    this.#stage = 'doomed';
    this.#release('remove');
    if (wasEnding) this.refused(trouble);
    else this.#tellRoom();
  }

  /** The reader's pieces are worth nothing: it is condemned, or the mail is doomed. */
  #discard(): void {
    this.#source.reader.takePieces();
    if (this.#stage !== 'arriving') return;
    this.#stage = 'doomed';
    this.#release('remove');
  }

  #endWith(trouble: CommitTrouble): void {
    this.#source.span?.refused(trouble, this.#spool.now());
    // Without an answer it may have been stored after all, and then its chunks are needed (A5).
    const isUnsure = trouble === 'unavailable' || trouble === 'stuck';
    this.#close(this.#stage === 'packed' && isUnsure ? 'keep' : 'remove');
  }

  #close(chunks: 'keep' | 'remove'): void {
    this.#stage = 'over';
    this.#release(chunks);
  }

  #release(chunks: 'keep' | 'remove'): void {
    const { chunkStore } = this.#spool;
    this.pieces = [];
    this.frameOctets = 0;
    this.#shrinkTo(this.#inFlightOctets);
    chunkStore.stopWaiting(this);
    if (chunks === 'remove' && this.chunks.length > 0) {
      chunkStore.forget(this.chunks.filter(({ stream }) => stream !== ''));
      this.chunks = [];
    }
  }
}

/** True when pieces cost much more memory than their octets: they are tiny, or hold on to a much larger buffer. */
function isWasteful(pieces: readonly Buffer[], octets: number): boolean {
  const held = pieces[0]?.buffer.byteLength ?? 0;
  const isTiny = pieces.length > 1 && octets < pieces.length * PIECE_OCTETS_MIN;
  return isTiny || (held > Buffer.poolSize && held > WASTE_FACTOR * octets);
}

/** Takes exactly `octets` off the front of `pieces`. */
function cutOff(pieces: Buffer[], octets: number): Buffer[] {
  let count = 0;
  let rest = octets;
  while (rest > 0 && pieces[count]!.length <= rest) rest -= pieces[count++]!.length;
  const cut = pieces.splice(0, count);
  const next = pieces[0];
  if (rest > 0 && next !== undefined) {
    cut.push(next.subarray(0, rest));
    pieces[0] = next.subarray(rest);
  }
  return cut;
}
