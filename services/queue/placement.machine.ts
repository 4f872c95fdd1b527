// Decides which partitions this instance takes, hands over and doubts. Never claims, never reads a clock. Mutates its state.
//
//            ours, nobody is heard to hold it            loaded                 somebody else's, who is ready
//   away ─────────────────────────────────────▶ opening ───────▶ held ───────────────────────────────────▶ closing
//     ▲                                             │              │                                           │
//     └──────────── not opened, too late ───────────┴── lost ──────┴───────────────── closed ──────────────────┘
//
//   held: sure ── doubted, or not confirmed ──▶ doubted (nothing of it is sent) ── still ours ──▶ sure
//
// Invariants:
//  P1  A partition is opened only while this instance is first for it and nobody else is heard to hold it.
//  P2  It is handed over only to somebody who was heard just now and takes partitions.
//  P3  Whoever is first for a partition that nobody holds and does not take it in time is passed over for a while, by all alike:
//      an instance that hears itself only, cannot open it, or waits for some reason of its own, keeps nobody waiting.
//  P4  A doubted partition stays doubted until it is known that it is still ours; each of them for itself.
//  P5  After `stopped` none is opened.
import { ownerOf } from '#libs/nats/placement.ts';

/** Whoever is first for a free partition is heard to have it within this, milliseconds. */
export const TAKE_WITHIN_MS = 2000;
/** Who did not take it is passed over for so long. */
export const PASSED_OVER_MS = 60_000;
/** Who could not open it leaves it to others, if there are any, for so long; who lost it to somebody who is not heard yet, to anybody. */
export const LEFT_MS = 5000;
/** Who was silent for longer may be dead: nothing is handed over to it. */
export const READY_WITHIN_MS = 1500;
/** How often it is checked that a partition is still ours, beside every doubt. */
export const VERIFY_MS = 10_000;
/** And how soon again when nobody could say. */
export const VERIFY_AGAIN_MS = 500;
/** Who hears no answer for so long is not sure any more. */
export const ANSWER_WITHIN_MS = 2000;
/** An opening that takes longer is given up; each one after it may take twice as long, so that the largest partition opens. */
export const OPEN_WITHIN_MS = 60_000;
const OPEN_DOUBLINGS_MAX = 5;

export type PlacePhase = 'away' | 'opening' | 'held' | 'closing';

interface Place {
  phase: PlacePhase;
  trust: 'sure' | 'doubted';
  /** A verdict is awaited since then. */
  askedAtMs: number | undefined;
  askAtMs: number;
  /** Of doubts: a verdict on a question from before the last one says nothing. */
  round: number;
  openedAtMs: number;
  /** Openings in a row that came to nothing. */
  failures: number;
  /** Nobody is heard to hold it, ourselves included, since then. */
  freeSinceMs: number | undefined;
  /** Somebody has claimed it who is not heard yet: he is waited for until then. */
  lostUntilMs: number;
  /** Until then these instances are not asked to take it. */
  passedOver: Record<string, number>;
}

export interface PlacementState {
  readonly self: string;
  readonly places: Place[];
  stance: 'placing' | 'stopped';
}

/** Another live instance. */
export interface QueueMember {
  readonly instance: string;
  readonly holds: (partition: number) => boolean;
  readonly passive: boolean;
  readonly silentMs: number;
}

export type PlacementInput =
  /** Who else lives and holds what; only while that can be trusted. */
  | { kind: 'viewed'; others: readonly QueueMember[]; nowMs: number }
  | { kind: 'opened'; partition: number; nowMs: number }
  /** It was given up by ourselves: handed over, or never loaded. */
  | { kind: 'closed'; partition: number; nowMs: number }
  /** Another instance has claimed it, or it could not go on. */
  | { kind: 'lost'; partition: number; nowMs: number }
  /** Others may have taken what is ours. */
  | { kind: 'doubted'; nowMs: number }
  | { kind: 'verified'; partition: number; round: number; owner: 'yes' | 'no' | 'unknown'; nowMs: number }
  /** Several times a second. */
  | { kind: 'ticked'; nowMs: number }
  | { kind: 'stopped' };

export type PlacementEffect =
  | { kind: 'open'; partition: number }
  /** Store what is known, then give it up. */
  | { kind: 'close'; partition: number; reason: 'handed over' | 'too late' | 'stopped' }
  /** Ask whether it is still ours; the verdict says the same round. */
  | { kind: 'verify'; partition: number; round: number }
  /** Send nothing of it until `thaw`. */
  | { kind: 'freeze'; partition: number }
  | { kind: 'thaw'; partition: number }
  /** What we hold or take changed: all must know at once. */
  | { kind: 'announce' };

export function newPlacement(self: string, partitions: number): PlacementState {
  const places = Array.from(
    { length: partitions },
    (): Place => ({
      phase: 'away',
      trust: 'sure',
      askedAtMs: undefined,
      askAtMs: 0,
      round: 0,
      openedAtMs: 0,
      failures: 0,
      freeSinceMs: undefined,
      lostUntilMs: 0,
      passedOver: {},
    }),
  );
  return { self, places, stance: 'placing' };
}

/** Feeds one input; returns what the shell must do, in order. */
export function receive(state: PlacementState, input: PlacementInput): PlacementEffect[] {
  switch (input.kind) {
    case 'viewed':
      return state.stance === 'stopped' ? [] : placeAll(state, input.others, input.nowMs);
    case 'opened':
      return whenOpened(state.places[input.partition]!, input);
    case 'closed':
    case 'lost':
      return whenGone(state, input);
    case 'doubted':
      return state.places.flatMap((place, partition) => doubt(place, partition, input.nowMs));
    case 'verified':
      return whenVerified(state.places[input.partition]!, input);
    case 'ticked':
      return state.places.flatMap((place, partition) => whenTicked(place, partition, input.nowMs));
    case 'stopped':
      return stop(state);
  }
}

/** Partitions that nobody is heard to hold. */
export function freePartitions({ places }: PlacementState): number[] {
  return [...places.keys()].filter((partition) => places[partition]!.freeSinceMs !== undefined);
}

/** Who is first for it among those who may take it; undefined when all are passive. */
export function firstFor(
  state: PlacementState,
  partition: number,
  others: readonly QueueMember[],
): string | undefined {
  const { passedOver } = state.places[partition]!;
  const takers = others.filter(({ passive }) => !passive).map(({ instance }) => instance);
  if (state.stance === 'placing') takers.push(state.self);
  const ready = takers.filter((instance) => passedOver[instance] === undefined);
  return ownerOf(`partition ${partition}`, ready.length > 0 ? ready : takers);
}

function placeAll(state: PlacementState, others: readonly QueueMember[], nowMs: number): PlacementEffect[] {
  const effects = state.places.flatMap((_, partition) => placeOne(state, partition, { others, nowMs }));
  if (effects.some(({ kind }) => kind === 'open')) effects.push({ kind: 'announce' });
  return effects;
}

function placeOne(
  state: PlacementState,
  partition: number,
  { others, nowMs }: { others: readonly QueueMember[]; nowMs: number },
): PlacementEffect[] {
  const place = state.places[partition]!;
  const holders = others.filter(({ holds }) => holds(partition));
  note(state, place, holders, nowMs);
  passOver(state, partition, { others, nowMs });
  const first = firstFor(state, partition, others);
  if (place.phase === 'away') {
    if (first !== state.self || holders.length > 0 || nowMs < place.lostUntilMs) return [];
    Object.assign(place, { phase: 'opening', trust: 'sure', openedAtMs: nowMs, freeSinceMs: undefined });
    return [{ kind: 'open', partition }];
  }
  if (place.phase !== 'held') return [];
  // One of us is wrong: only the record of its owner tells who.
  if (holders.length > 0) return place.askedAtMs === undefined ? ask(place, partition, nowMs) : [];
  const receiver = others.find(({ instance }) => instance === first);
  if (receiver === undefined || receiver.silentMs > READY_WITHIN_MS) return [];
  place.phase = 'closing';
  return [{ kind: 'close', partition, reason: 'handed over' }];
}

/** Who has it is not passed over any more, nor are we: it is known where it is. */
function note(state: PlacementState, place: Place, holders: readonly QueueMember[], nowMs: number): void {
  for (const [instance, untilMs] of Object.entries(place.passedOver)) {
    if (untilMs <= nowMs) delete place.passedOver[instance];
  }
  for (const { instance } of holders) delete place.passedOver[instance];
  if (holders.length > 0) {
    delete place.passedOver[state.self];
    place.lostUntilMs = 0;
  }
  const isFree = holders.length === 0 && place.phase === 'away';
  place.freeSinceMs = isFree ? (place.freeSinceMs ?? nowMs) : undefined;
}

/** P3 */
function passOver(
  state: PlacementState,
  partition: number,
  { others, nowMs }: { others: readonly QueueMember[]; nowMs: number },
): void {
  const place = state.places[partition]!;
  if (place.freeSinceMs === undefined || nowMs - place.freeSinceMs < TAKE_WITHIN_MS) return;
  const first = firstFor(state, partition, others);
  if (first === undefined || first === state.self) return;
  // When nobody took it, all of them are asked again.
  if (place.passedOver[first] !== undefined) place.passedOver = {};
  place.passedOver[first] = nowMs + PASSED_OVER_MS;
  // The next one has its time too.
  place.freeSinceMs = nowMs;
}

function whenOpened(
  place: Place,
  { partition, nowMs }: { partition: number; nowMs: number },
): PlacementEffect[] {
  if (place.phase !== 'opening') return [];
  place.phase = 'held';
  place.failures = 0;
  place.askAtMs = nowMs + VERIFY_MS;
  // What was doubted while it was loaded is doubted still.
  return place.trust === 'doubted' ? ask(place, partition, nowMs) : [];
}

function whenGone(
  state: PlacementState,
  { kind, partition, nowMs }: { kind: 'closed' | 'lost'; partition: number; nowMs: number },
): PlacementEffect[] {
  const place = state.places[partition]!;
  const { phase } = place;
  if (phase === 'opening') place.failures += 1;
  place.phase = 'away';
  place.trust = 'sure';
  place.askedAtMs = undefined;
  place.round += 1;
  place.freeSinceMs = kind === 'lost' ? undefined : nowMs;
  if (kind === 'lost') place.lostUntilMs = nowMs + LEFT_MS;
  const failed = kind === 'lost' || phase === 'opening' || place.failures > 0;
  if (failed) place.passedOver[state.self] = nowMs + LEFT_MS;
  return [{ kind: 'announce' }];
}

function ask(place: Place, partition: number, nowMs: number): PlacementEffect[] {
  place.askedAtMs = nowMs;
  return [{ kind: 'verify', partition, round: place.round }];
}

/** P4 */
function doubt(place: Place, partition: number, nowMs: number): PlacementEffect[] {
  // Who holds it is to be heard anew.
  place.freeSinceMs = undefined;
  if (place.phase !== 'opening' && place.phase !== 'held') return [];
  const effects: PlacementEffect[] = [];
  if (place.trust === 'sure') effects.push({ kind: 'freeze', partition });
  place.trust = 'doubted';
  place.round += 1;
  if (place.phase === 'held') effects.push(...ask(place, partition, nowMs));
  return effects;
}

function whenVerified(
  place: Place,
  { partition, round, owner, nowMs }: PlacementInput & { kind: 'verified' },
): PlacementEffect[] {
  if (place.phase !== 'held' || round !== place.round) return [];
  place.askedAtMs = undefined;
  if (owner === 'yes') {
    place.askAtMs = nowMs + VERIFY_MS;
    if (place.trust === 'sure') return [];
    place.trust = 'sure';
    return [{ kind: 'thaw', partition }];
  }
  // "No" is followed by `lost`.
  place.askAtMs = nowMs + VERIFY_AGAIN_MS;
  return freeze(place, partition);
}

function freeze(place: Place, partition: number): PlacementEffect[] {
  if (place.trust === 'doubted') return [];
  place.trust = 'doubted';
  return [{ kind: 'freeze', partition }];
}

function whenTicked(place: Place, partition: number, nowMs: number): PlacementEffect[] {
  if (place.phase === 'opening') {
    const withinMs = OPEN_WITHIN_MS * 2 ** Math.min(place.failures, OPEN_DOUBLINGS_MAX);
    if (nowMs - place.openedAtMs < withinMs) return [];
    place.phase = 'closing';
    place.failures += 1;
    return [{ kind: 'close', partition, reason: 'too late' }];
  }
  if (place.phase !== 'held') return [];
  const { askedAtMs } = place;
  if (askedAtMs === undefined) return nowMs < place.askAtMs ? [] : ask(place, partition, nowMs);
  return nowMs - askedAtMs < ANSWER_WITHIN_MS ? [] : freeze(place, partition);
}

function stop(state: PlacementState): PlacementEffect[] {
  state.stance = 'stopped';
  const effects: PlacementEffect[] = [{ kind: 'announce' }];
  state.places.forEach((place, partition) => {
    if (place.phase === 'away' || place.phase === 'closing') return;
    place.phase = 'closing';
    effects.push({ kind: 'close', partition, reason: 'stopped' });
  });
  return effects;
}
