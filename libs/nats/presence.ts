// Heartbeats: says every second that this instance lives and what it holds, and knows who else does. Who is silent for
// five seconds is gone; who says goodbye is gone at once. Silence is judged only when the server has just confirmed a
// heartbeat of ours: by then all that it had for us was heard, so a pause of our own is not taken for theirs. Time is
// monotonic.
//
// Whoever is silent for the others knows it in time: `leaseUntilMs` ends LEASE_MS after the last heartbeat that the server
// confirmed, well before anybody may think that we are gone.
//
// Fails: while the link is down nobody is declared gone: silence then says nothing about the others.
import { Presence as PresenceMessage } from '#proto/postrider/v1/job.ts';
import { subjects } from './layout.ts';
import type { Link, LinkSubscription } from './link.ts';

/** A live instance, ourselves included; `holds` is a bitmap of what it owns. */
export interface Member {
  readonly instance: string;
  readonly holds: Uint8Array;
  /** It takes nothing now: it stops, or has just come. */
  readonly passive: boolean;
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

/** For so long after a heartbeat that was heard we are alive to everybody; the rest of their patience is margin. */
export const LEASE_MS = 3500;

interface Seen {
  holds: Uint8Array;
  passive: boolean;
  /** Of the youngest heartbeat. */
  clockMs: number;
  heardAtMs: number;
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
  #confirmedAtMs = Number.NEGATIVE_INFINITY;

  constructor(link: Link, options: PresenceOptions) {
    this.#link = link;
    this.#options = options;
    for (const service of options.watch) this.#seen.set(service, new Map());
    link.onReconnected(() => this.#reconnected());
  }

  /** Listens, says that we are here, and resolves when every live instance had the time to say so too. */
  async start(): Promise<void> {
    for (const service of this.#options.watch) {
      const subscription = this.#link.subscribe(subjects.presence(service), (message) => {
        this.#heard(service, PresenceMessage.decode(message.data));
      });
      this.#subscriptions.push(subscription);
    }
    this.#state = 'here';
    this.#beat();
    this.#timer = setInterval(() => this.#beat(), BEAT_MS);
    await new Promise((done) => setTimeout(done, LISTEN_FIRST_MS));
  }

  /** Live instances of a watched service, in no order. */
  members(service: string): Member[] {
    const members: Member[] = [];
    for (const [instance, { holds, passive }] of this.#seen.get(service) ?? []) {
      members.push({ instance, holds, passive });
    }
    if (service === this.#options.service && this.#state === 'here') {
      members.push({
        instance: this.#link.instance,
        holds: this.#options.holds(),
        passive: this.#options.isPassive?.() ?? false,
      });
    }
    return members;
  }

  /** What the youngest heartbeat of an instance said of its clock; undefined when it is not known to live. */
  clockOf(service: string, instance: string): number | undefined {
    return this.#seen.get(service)?.get(instance)?.clockMs;
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
    members.set(instance, { holds, passive, clockMs, heardAtMs: performance.now() });
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
      if (performance.now() - saidAtMs < FRESH_MS) this.#judge();
    });
  }

  #judge(): void {
    const silentSinceMs = performance.now() - SILENCE_MAX_MS;
    for (const [service, members] of this.#seen) {
      let lost = 0;
      for (const [instance, { heardAtMs }] of members) {
        if (heardAtMs >= silentSinceMs) continue;
        members.delete(instance);
        lost += 1;
      }
      if (lost > 0) this.#changed(service);
    }
    if (this.#gone.size > 1000) this.#gone.clear();
  }

  /** Everybody was unheard for as long as we were away. */
  #reconnected(): void {
    for (const members of this.#seen.values()) {
      for (const seen of members.values()) seen.heardAtMs = performance.now();
    }
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
