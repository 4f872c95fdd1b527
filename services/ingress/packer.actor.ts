// Group commit: whole mails become packs, one in flight per SPOOL stream; what becomes whole meanwhile joins the next.
// So load itself sizes the packs: one mail alone waits for nobody, and many share one fsync.
//
// Invariants:
//  G1  At most one pack of a stream is in flight.
//  G2  Every mail hears once what became of it, and `stored` only when its record is durable.
//  G3  Mails go into packs in the order in which they became whole.
//  G4  A mail waits for commitWaitMax and the time of one try, not longer.
//  G5  A mail is too big only by itself, never for the size of its neighbours.
//  G6  What a full stream refuses is offered to the others, in its order; it is refused when no stream takes any.
//  G7  What may have been stored is offered to no other stream.
//
// Fails: no room in any stream -> `full`, at once; no answer in time -> `unavailable` for them and for all that have
// waited as long, `stuck` when the stream was known to store nothing by then (the record may have been stored in either case: then
// the client's repetition is a second mail, RFC 5321 §4.5.3.2.6).
import { randomBytes } from 'node:crypto';
import { DateLine } from '#libs/header/received.ts';
import { type Layout, subjects } from '#libs/nats/layout.ts';
import { commitTrouble, type RecordWriter, type Stored, troubleText } from '#libs/nats/records.ts';
import type { CommitTrouble } from '#libs/smtp/server-session.ts';
import { PackDraft, type SealedPack, type WholeMail } from './pack-draft.ts';
import { PartitionRotation } from './partition-rotation.ts';
import type { WatchedStreams } from './stream-watch.actor.ts';

/** A mail that waits for its commit. */
export interface PackableMail extends WholeMail {
  readonly wholeSinceMs: number;
  /** False when its client has gone: it may be dropped as long as it is in no pack. */
  readonly isWanted: boolean;
  stored(queueId: string): void;
  refused(trouble: CommitTrouble): void;
  /** It was not wanted any more and is kept nowhere. */
  dropped(): void;
}

export interface PackerOptions {
  writer: Pick<RecordWriter, 'store'>;
  layout: Pick<Layout, 'partitions' | 'spoolStreams'>;
  /** Those of SPOOL. */
  streams: Pick<WatchedStreams, 'areBusy' | 'flying' | 'next' | 'isProbed' | 'isSilent' | 'sent' | 'landed'>;
  hostname: string;
  commitWaitMaxMs: number;
  /** The most that the server takes in one message, octets. */
  payloadMax: () => number;
  /** Of a clock that nobody sets; mails wait by it. */
  now: () => number;
  /** What the mails say: milliseconds since 1970. */
  wall: () => number;
  random: () => number;
  onPack: (pack: { mails: number; octets: number; tookMs: number }) => void;
  onTrouble: (reason: string) => void;
}

/** The shortest time that a pack is tried. */
const TRY_MS_MIN = 1000;
/** Taken mails are cut off the front of the queue when there are so many. */
const CUT_AT = 1024;

/** How long a pack is tried that finds out whether its stream stores anything: its mail pays for the others. */
const PROBE_MS = 3000;

interface Flight {
  stream: number;
  mails: PackableMail[];
  pack: SealedPack;
  sentAtMs: number;
}

export class Packer {
  readonly #options: PackerOptions;
  readonly #rotations: PartitionRotation[];
  readonly #dateLine = new DateLine();
  /** Makes the ids of packs unique for all time. */
  readonly #process = randomBytes(9).toString('base64url');
  readonly #turn = () => this.#dispatch();
  #waiting: PackableMail[] = [];
  /** Mails of `#waiting` that are taken. */
  #taken = 0;
  /** These were in a pack that was too big: each goes into one by itself. */
  readonly #alone = new WeakSet<PackableMail>();
  #turnComes = false;
  #packs = 0;

  constructor(options: PackerOptions) {
    this.#options = options;
    const { layout, random } = options;
    this.#rotations = Array.from(
      { length: layout.spoolStreams },
      (_, stream) => new PartitionRotation({ ...layout, stream, start: random() }),
    );
  }

  /** Mails that are in no pack yet. */
  get waiting(): number {
    return this.#waiting.length - this.#taken;
  }

  /** Since when the oldest of them waits; undefined when none does. */
  get waitingSinceMs(): number | undefined {
    return this.#waiting[this.#taken]?.wholeSinceMs;
  }

  /** At most one per stream (G1). */
  get packsInFlight(): number {
    return this.#options.streams.flying;
  }

  add(mail: PackableMail): void {
    this.#waiting.push(mail);
    if (this.#turnComes || this.#options.streams.areBusy) return;
    this.#turnComes = true;
    setImmediate(this.#turn);
  }

  /** Refuses what has waited too long, and what no stream takes any more. Called about once a second. */
  sweep(): void {
    this.#refuseOld();
    this.#dispatch();
  }

  #refuseOld(): void {
    const { now, commitWaitMaxMs } = this.#options;
    const beforeMs = now() - commitWaitMaxMs;
    for (;;) {
      const mail = this.#waiting[this.#taken];
      if (mail === undefined || mail.wholeSinceMs > beforeMs) return;
      this.#take();
      mail.refused('unavailable'); // G4
    }
  }

  #take(): void {
    this.#taken++;
    if (this.#taken < CUT_AT && this.#taken < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#taken);
    this.#taken = 0;
  }

  #dispatch(): void {
    this.#turnComes = false;
    while (this.waiting > 0) {
      const stream = this.#options.streams.next(); // G1
      if (stream === 'busy') return;
      if (stream === 'closed') this.#refuseAll();
      else this.#send(stream);
    }
  }

  /** No stream takes any: their clients are told at once, and come again (G6). */
  #refuseAll(): void {
    const mails = this.#waiting.slice(this.#taken);
    this.#waiting = [];
    this.#taken = 0;
    for (const mail of mails) {
      if (mail.isWanted) mail.refused('full');
      else mail.dropped();
    }
  }

  #send(stream: number): void {
    const { streams } = this.#options;
    const isProbe = streams.isProbed(stream);
    const draft = this.#draft(isProbe ? 1 : Number.POSITIVE_INFINITY);
    const { mails } = draft;
    const first = mails[0];
    if (first === undefined) return;
    const { writer, hostname, now, wall, commitWaitMaxMs, onTrouble } = this.#options;
    const [nowMs, wallMs] = [now(), wall()];
    const partition = this.#rotations[stream]!.partitionAt(nowMs);
    const pack = draft.seal({
      partition,
      nowMs: wallMs,
      dateText: this.#dateLine.text(wallMs),
      hostname,
    });
    const headers: Record<string, string> = { 'Postrider-Index': pack.index };
    if (pack.traceparent !== '') headers.traceparent = pack.traceparent;
    streams.sent(stream, pack.octets + pack.index.length);
    const flight: Flight = { stream, mails, pack, sentAtMs: nowMs };
    const leftMs = Math.max(TRY_MS_MIN, commitWaitMaxMs - (nowMs - first.wholeSinceMs)); // G4
    const record = {
      subject: subjects.spool(partition),
      payload: pack.payload,
      id: `${this.#process}-${(++this.#packs).toString(36)}`,
      headers,
      giveUpAfterMs: isProbe ? Math.min(PROBE_MS, leftMs) : leftMs,
    };
    writer.store(record).then(
      (stored) => this.#landed(flight, stored),
      (error) => {
        onTrouble(`SPOOL: ${String(error)}`);
        this.#landed(flight, { kind: 'unavailable' });
      },
    );
  }

  /** The next pack, out of the front of the queue (G3). */
  #draft(mailsMax: number): PackDraft<PackableMail> {
    const draft = new PackDraft<PackableMail>(this.#options.payloadMax());
    for (;;) {
      const mail = this.#waiting[this.#taken];
      if (mail === undefined || draft.mails.length >= mailsMax) return draft;
      const isAlone = this.#alone.has(mail);
      if (mail.isWanted && ((isAlone && draft.mails.length > 0) || !draft.add(mail))) return draft;
      this.#take();
      if (!mail.isWanted) mail.dropped();
      else if (isAlone) return draft;
    }
  }

  /** They wait again, in their place (G3): nothing of them is stored. */
  #putBack(mails: readonly PackableMail[]): void {
    const waiting = this.#waiting.slice(this.#taken);
    // Older ones may be there: of a pack that came back before this one.
    const { wholeSinceMs } = mails[0]!;
    let at = 0;
    while (at < waiting.length && waiting[at]!.wholeSinceMs < wholeSinceMs) at++;
    this.#waiting = [...waiting.slice(0, at), ...mails, ...waiting.slice(at)];
    this.#taken = 0;
  }

  #landed({ stream, mails, pack, sentAtMs }: Flight, stored: Stored): void {
    const { now, onPack, onTrouble, streams } = this.#options;
    const wasSilent = streams.isSilent(stream);
    streams.landed(stream, stored.kind);
    if (stored.kind === 'unavailable') this.#refuseOld();
    if (stored.kind === 'full') {
      onTrouble(`SPOOL_${stream}: a pack of ${mails.length} mails is not stored: full`);
      this.#putBack(mails); // G6
      this.#dispatch();
      return;
    }
    if (stored.kind === 'too-big' && mails.length > 1) {
      // One of them may be too large, or the server takes less than a moment ago: each is told what becomes of itself (G5).
      onTrouble(`SPOOL: a pack of ${mails.length} mails is too big; they are stored one by one`);
      for (const mail of mails) this.#alone.add(mail);
      this.#putBack(mails);
      this.#dispatch();
      return;
    }
    // The next pack is on its way while the sessions of this one write their replies.
    this.#dispatch();
    if (stored.kind === 'stored') {
      onPack({ mails: mails.length, octets: pack.octets, tookMs: now() - sentAtMs });
      for (let i = 0; i < mails.length; i++) mails[i]!.stored(pack.queueIds[i]!); // G2
      return;
    }
    onTrouble(`SPOOL_${stream}: a pack of ${mails.length} mails is not stored: ${troubleText(stored)}`);
    const isStuck = stored.kind === 'unavailable' && wasSilent;
    const trouble = isStuck ? 'stuck' : commitTrouble(stored.kind);
    for (const mail of mails) mail.refused(trouble); // G7
  }
}
