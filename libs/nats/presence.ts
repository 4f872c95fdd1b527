// Heartbeats: says every second that this instance lives and what it holds, and knows who else does. Who is silent for
// five seconds is gone; who says goodbye is gone at once. Time is monotonic.
//
// Silence is judged only when the server has just confirmed a heartbeat of ours: by then all that it had for us was heard, so a
// pause of our own is not taken for theirs. That is not enough when it was the server that stood still: it answers us before it
// has read what the others said meanwhile. So nobody's silence counts that lies before a gap in our own confirmations, and who is
// found silent is gone only when a second, later confirmation finds it silent still.
//
// Whoever is silent for the others knows it in time: `leaseUntilMs` ends LEASE_MS after the last heartbeat that the server
// confirmed, well before anybody may think that we are gone.
//
// Fails: while the link is down nobody is declared gone: silence then says nothing about the others. What is no heartbeat is
// dropped (decoding.ts).
import { Presence as PresenceMessage } from '#proto/postrider/v1/job.ts';
import { type ClockOffset, OffsetEstimate } from './clock-skew.ts';
import { listen, type Wire } from './decoding.ts';
import { isToken, subjects } from './layout.ts';
import type { Link, LinkSubscription } from './link.ts';

/** A live instance, ourselves included; `holds` is a bitmap of what it owns. */
export interface Member {
  readonly instance: string;
  readonly holds: Uint8Array;
  /** It takes nothing now: it stops, or has just come. */
  readonly passive: boolean;
  /** Since it was last heard, milliseconds; 0 for ourselves. */
  readonly silentMs: number;
}

export interface PresenceOptions {
  service: string;
  /** Services whose instances are followed; our own need not be among them. */
  watch: readonly string[];
  holds: () => Uint8Array;
  /** True while nothing is for us; never when absent. */
  isPassive?: () => boolean;
}

const BEAT_MS = 1000;
const SILENCE_MAX_MS = 5000;
const LISTEN_FIRST_MS = 1200;
/** A confirmation that took longer says too little about now. */
const FRESH_MS = 1000;
/** Longer between two confirmations: we stood still, or the server, and what the others said meanwhile may come later. */
const GAP_MS = BEAT_MS + 1000;
/** Who was found silent is looked at again after this: by then the server has read what everybody had sent. */
const LOOK_AGAIN_MS = 250;
/** Longest name of an instance; a bitmap of as many partitions or shards as there can be. */
const NAME_MAX = 200;
const HOLDS_OCTETS_MAX = 8192;

/** For so long after a heartbeat that was heard we are alive to everybody; the rest of their patience is margin. */
export const LEASE_MS = 3500;

interface Seen {
  holds: Uint8Array;
  passive: boolean;
  /** Of the youngest heartbeat. */
  clockMs: number;
  /** Of its wall clock. */
  offset: OffsetEstimate;
  heardAtMs: number;
  /** Its silence counts from here: when it was heard, or later. */
  silentFromMs: number;
  /** When it was first found silent; nothing after it was heard. */
  foundSilentAtMs: number | undefined;
}

/** A message of defaults, or of somebody else's making, must not be a member that everything is left to. */
function heartbeatOf(service: string): Wire<PresenceMessage> {
  return {
    ...PresenceMessage,
    flawOf: (message) => {
      if (message.service !== service) return `service "${message.service.slice(0, NAME_MAX)}"`;
      const isName = isToken(message.instance) && message.instance.length <= NAME_MAX;
      return isName && message.holds.length <= HOLDS_OCTETS_MAX ? undefined : 'no instance';
    },
  };
}

export class Presence {
  readonly #link: Link;
  readonly #options: PresenceOptions;
  readonly #seen = new Map<string, Map<string, Seen>>();
  readonly #gone = new Set<string>();
  readonly #onChange: ((service: string) => void)[] = [];
  readonly #startedAtMs = Date.now();
  #subscriptions: LinkSubscription[] = [];
  #timer: NodeJS.Timeout | undefined;
  #state: 'new' | 'here' | 'left' = 'new';
  /** When the newest heartbeat was said that the server confirmed, and when the newest confirmation came. */
  #confirmedAtMs = Number.NEGATIVE_INFINITY;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  #lookingAgain: NodeJS.Timeout | undefined;

  constructor(link: Link, options: PresenceOptions) {
    this.#link = link;
    this.#options = options;
    for (const service of options.watch) this.#seen.set(service, new Map());
    link.onReconnected(() => this.#reconnected());
  }

  /** Listens, says that we are here, and resolves when every live instance had the time to say so too. */
  async start(): Promise<void> {
    for (const service of this.#options.watch) {
      const wire = heartbeatOf(service);
      const onMessage = (message: PresenceMessage) => this.#heard(service, message);
      this.#subscriptions.push(listen(this.#link, { subject: subjects.presence(service), wire, onMessage }));
    }
    this.#state = 'here';
    this.#beat();
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
    await new Promise((done) => setTimeout(done, LISTEN_FIRST_MS));
  }

  /** Live instances of a watched service, in no order. */
  members(service: string): Member[] {
    const members: Member[] = [];
    const nowMs = performance.now();
    for (const [instance, { holds, passive, heardAtMs }] of this.#seen.get(service) ?? []) {
      members.push({ instance, holds, passive, silentMs: nowMs - heardAtMs });
    }
    if (service === this.#options.service && this.#state === 'here') {
      members.push({
        instance: this.#link.instance,
        holds: this.#options.holds(),
        passive: this.#options.isPassive?.() ?? false,
        silentMs: 0,
      });
    }
    return members;
  }

  /** What the youngest heartbeat of an instance said of its clock; undefined when it is not known to live. */
  clockOf(service: string, instance: string): number | undefined {
    return this.#seen.get(service)?.get(instance)?.clockMs;
  }

  /** Of every live instance of a watched service that says its wall clock, without our own. */
  clockOffsets(): ClockOffset[] {
    const offsets: ClockOffset[] = [];
    for (const members of this.#seen.values()) {
      for (const [instance, { offset }] of members) {
        if (offset.aheadMs !== undefined) offsets.push({ instance, aheadMs: offset.aheadMs });
      }
    }
    return offsets;
  }

  /** Until then (performance.now) nobody thinks that we are gone. */
  get leaseUntilMs(): number {
    return this.#confirmedAtMs + LEASE_MS;
  }

  /** `hear` is called when somebody comes, goes, or holds something else. */
  onChange(hear: (service: string) => void): void {
    this.#onChange.push(hear);
  }

  /** What we hold has changed, or whether we are passive. */
  announceNow(): void {
    if (this.#state === 'here') this.#say(false);
  }

  /** Says goodbye. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#lookingAgain);
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    if (this.#state === 'here') this.#say(true);
    this.#state = 'left';
    await this.#link.flush();
  }

  #say(leaving: boolean): void {
    const { service, holds } = this.#options;
    const message = PresenceMessage.encode({
      service,
      instance: this.#link.instance,
      startedAtMs: this.#startedAtMs,
      leaving,
      holds: Buffer.from(holds()),
      passive: this.#options.isPassive?.() ?? false,
      clockMs: clockMs(),
      wallClockMs: Date.now(),
    });
    this.#link.publish(subjects.presence(service), message.finish());
  }

  #heard(service: string, message: PresenceMessage): void {
    const { instance, holds, leaving, passive } = message;
    const members = this.#seen.get(service)!;
    if (instance === this.#link.instance || this.#gone.has(instance)) return;
    if (leaving) {
      // A heartbeat that was sent before the goodbye must not bring it back.
      this.#gone.add(instance);
      if (members.delete(instance)) this.#changed(service);
      return;
    }
    const known = members.get(instance);
    const clockMs = Math.max(known?.clockMs ?? 0, message.clockMs);
    const heardAtMs = performance.now();
    const offset = known?.offset ?? new OffsetEstimate();
    offset.heard({ wallMs: message.wallClockMs, ourWallMs: Date.now(), atMs: heardAtMs });
    const silence = { silentFromMs: heardAtMs, foundSilentAtMs: undefined };
    members.set(instance, { holds, passive, clockMs, offset, heardAtMs, ...silence });
    if (known === undefined && service === this.#options.service) this.announceNow();
    const isSame = known?.passive === passive && sameOctets(known.holds, holds);
    if (!isSame) this.#changed(service);
  }

  #beat(): void {
    const saidAtMs = performance.now();
    this.#say(false);
    void this.#link.confirm().then((isHeard) => {
      if (!isHeard || this.#state !== 'here') return;
      this.#confirmedAtMs = Math.max(this.#confirmedAtMs, saidAtMs);
      const nowMs = performance.now();
      if (nowMs - this.#answeredAtMs > GAP_MS) this.#forgiveSilence();
      this.#answeredAtMs = nowMs;
      if (nowMs - saidAtMs < FRESH_MS) this.#judge(saidAtMs);
    });
  }

  /** By the confirmation of what was said then. */
  #judge(saidAtMs: number): void {
    const nowMs = performance.now();
    let doubtful = 0;
    for (const [service, members] of this.#seen) {
      let lost = 0;
      for (const [instance, seen] of members) {
        if (nowMs - seen.silentFromMs <= SILENCE_MAX_MS) continue;
        seen.foundSilentAtMs ??= nowMs;
        if (saidAtMs > seen.foundSilentAtMs) {
          members.delete(instance);
          lost += 1;
        } else doubtful += 1;
      }
      if (lost > 0) this.#changed(service);
    }
    if (doubtful > 0) this.#lookAgain();
    if (this.#gone.size > 1000) this.#gone.clear();
  }

  /** Soon: with the next heartbeat the dead would be missed a second later. */
  #lookAgain(): void {
    clearTimeout(this.#lookingAgain);
    this.#lookingAgain = setTimeout(() => this.#beat(), LOOK_AGAIN_MS);
  }

  /** What was silent until now may have spoken without our hearing it. */
  #forgiveSilence(): void {
    const silentFromMs = performance.now();
    for (const members of this.#seen.values()) {
      for (const seen of members.values()) Object.assign(seen, { silentFromMs, foundSilentAtMs: undefined });
    }
  }

  /** Everybody was unheard for as long as we were away. */
  #reconnected(): void {
    this.#forgiveSilence();
    if (this.#state === 'here') this.#beat();
  }

  #changed(service: string): void {
    for (const hear of this.#onChange) hear(service);
  }
}

/** The clock of our heartbeats, milliseconds: only differences mean something, and it never goes back. */
export const clockMs = (): number => Math.round(performance.now());

function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
