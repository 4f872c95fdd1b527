// Every life of two attempts of one partition that ask for their checkpoints, while owners change, the server answers, is silent
// or forgets, and attempts are cancelled; checked at every step.
import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import { partsOfAttemptId } from '#libs/mail/attempt-id.ts';
import {
  ask,
  type CheckpointEffect,
  type CheckpointInput,
  type CheckpointsState,
  type KnownFence,
  newCheckpoints,
  receive,
} from './checkpoint.machine.ts';

interface Rider {
  attempt: {
    job: { attemptId: string; epoch: number; partition: number; recipients: number[]; fenced: boolean };
    standing: 'wanted' | 'cancelled' | 'over';
  };
  answer: 'not asked' | 'none' | 'goes on' | 'refused';
  /** Stored behind a fence that lets it pass; and whether that was so when it was cancelled. */
  stored: 'no' | 'yes';
}

/** The partition's fence in the stream, one after the other. The second of epoch 2 gives the worker up with its first attempt. */
const FENCES: readonly KnownFence[] = [
  { sequence: 0, epoch: 0, through: undefined },
  { sequence: 3, epoch: 1, through: undefined },
  { sequence: 6, epoch: 2, through: undefined },
  { sequence: 9, epoch: 2, through: 1 },
];

function pendingCount({ lanes }: CheckpointsState<Rider>): number {
  return [...lanes.values()].reduce((sum, { waiting, aboard }) => sum + waiting.length + aboard.length, 0);
}

interface Watched {
  state: CheckpointsState<Rider>;
  riders: Rider[];
  /** Which of FENCES is the newest in the stream. */
  fence: number;
  /** How often the stream began anew, and has lost its fence. */
  losses: number;
  /** What is on its way: the record and the fence that it expects, or a question, or a pause. */
  onItsWay: { kind: 'record'; sequence: number; names: string[] } | { kind: 'read' | 'pause' } | undefined;
}

/** What happens: an input of the machine, or something that it does not see. */
type Event =
  | { kind: 'asked'; rider: number }
  | { kind: 'cancelled'; rider: number }
  | { kind: 'newFence' }
  | { kind: 'beganAnew' }
  /** The record was stored or not, and no answer came. */
  | { kind: 'lost'; record: 'stored' | 'not stored' }
  | CheckpointInput;

const partition = 0;

/** As it stands in the stream; in a new one it has another number. */
function standing({ fence, losses }: Watched): KnownFence {
  const known = FENCES[fence]!;
  return known.sequence === 0 ? known : { ...known, sequence: known.sequence + 10 * losses };
}

function eventsOf(watched: Watched): Event[] {
  const { riders, fence, losses, onItsWay } = watched;
  const events: Event[] = [{ kind: 'departed' }, { kind: 'reconnected' }];
  riders.forEach((rider, i) => {
    if (rider.answer === 'not asked') events.push({ kind: 'asked', rider: i });
    if (rider.attempt.standing === 'wanted') events.push({ kind: 'cancelled', rider: i });
  });
  if (fence < FENCES.length - 1) events.push({ kind: 'newFence' });
  if (fence > 0 && losses === 0) events.push({ kind: 'beganAnew' });
  if (onItsWay?.kind === 'pause') events.push({ kind: 'woken', partition });
  if (onItsWay?.kind === 'read') {
    events.push(
      { kind: 'fenceRead', partition, fence: standing(watched) },
      { kind: 'unavailable', partition },
    );
  }
  if (onItsWay?.kind !== 'record') return events;
  events.push({ kind: 'busy', partition }, { kind: 'lost', record: 'not stored' });
  if (onItsWay.sequence !== standing(watched).sequence) return [...events, { kind: 'conflict', partition }];
  return [...events, { kind: 'stored', partition }, { kind: 'lost', record: 'stored' }];
}

/** The stream takes what is on its way. */
function store(watched: Watched): void {
  const { onItsWay, riders } = watched;
  if (onItsWay?.kind !== 'record') throw new Error('nothing is on its way');
  for (const rider of riders) {
    if (onItsWay.names.includes(rider.attempt.job.attemptId)) rider.stored = 'yes';
  }
}

function happen(watched: Watched, event: Event): CheckpointEffect<Rider>[] {
  switch (event.kind) {
    case 'asked': {
      const rider = watched.riders[event.rider]!;
      rider.answer = 'none';
      ask(watched.state, rider);
      return [];
    }
    case 'cancelled':
      watched.riders[event.rider]!.attempt.standing = 'cancelled';
      return [];
    case 'newFence':
      watched.fence += 1;
      return [];
    case 'beganAnew':
      watched.fence = 0;
      watched.losses += 1;
      return [];
    case 'lost':
      if (event.record === 'stored') store(watched);
      return receive(watched.state, { kind: 'unavailable', partition });
    case 'departed':
    case 'reconnected':
      return receive(watched.state, event);
    default:
      if (event.kind === 'stored') store(watched);
      return receive(watched.state, event);
  }
}

const SEEN_BY_THE_MACHINE: ReadonlySet<Event['kind']> = new Set([
  'stored',
  'conflict',
  'busy',
  'unavailable',
  'lost',
  'fenceRead',
  'woken',
]);

function follow(watched: Watched, event: Event, effects: CheckpointEffect<Rider>[]): void {
  if (SEEN_BY_THE_MACHINE.has(event.kind)) watched.onItsWay = undefined;
  for (const effect of effects) {
    if (effect.kind === 'goOn') watched.riders.find((one) => one === effect.passenger)!.answer = 'goes on';
    else if (effect.kind === 'refuse') effect.passenger.answer = 'refused';
    else if (effect.kind !== 'missFence') {
      // K4
      if (watched.onItsWay !== undefined) throw new Error('two at once');
      const names = () =>
        (effect.kind === 'publish' ? effect.passengers : []).map((one) => one.attempt.job.attemptId);
      watched.onItsWay =
        effect.kind === 'publish'
          ? { kind: 'record', sequence: effect.fenceSequence, names: names() }
          : { kind: effect.kind === 'readFence' ? 'read' : 'pause' };
    }
  }
}

function shutsOut(fence: KnownFence, { attempt }: Rider): boolean {
  const { epoch, attemptId } = attempt.job;
  const { number } = partsOfAttemptId(attemptId);
  return epoch < fence.epoch || (epoch === fence.epoch && number <= (fence.through ?? -1));
}

function check(before: Watched, after: Watched, effects: CheckpointEffect<Rider>[]): void {
  after.riders.forEach((rider, i) => {
    const was = before.riders[i]!;
    // K3
    if (was.answer === 'goes on' || was.answer === 'refused') expect(rider.answer).toBe(was.answer);
    if (rider.answer === 'goes on' && was.answer === 'none') {
      // K1, K5
      expect([rider.stored, rider.attempt.standing]).toEqual(['yes', 'wanted']);
    }
    // K2: what was stored was stored behind the fence of that moment.
    if (rider.stored === 'yes' && was.stored === 'no') {
      expect(shutsOut(FENCES[before.fence]!, rider)).toBe(false);
      // K6
      const { fenced, epoch } = rider.attempt.job;
      if (fenced) expect(FENCES[before.fence]!.epoch).toBeGreaterThanOrEqual(epoch);
    }
  });
  for (const effect of effects) {
    if (effect.kind !== 'publish') continue;
    for (const { attempt } of effect.passengers) expect(attempt.standing).toBe('wanted');
  }
  const pending = after.riders.filter(({ answer }) => answer === 'none').length;
  expect(pendingCount(after.state)).toBe(pending);
}

const plain = (_: string, value: unknown) =>
  value instanceof Map || value instanceof Set ? [...value] : value;

const riderOf = (attemptId: string, epoch: number, fenced = false): Rider => ({
  attempt: { job: { attemptId, epoch, partition, recipients: [], fenced }, standing: 'wanted' },
  answer: 'not asked',
  stored: 'no',
});

describe('checkpoints of two attempts', () => {
  test.each([
    ['of one owner', [riderOf('a.1.1', 1), riderOf('b.2.1', 1)]],
    ['of an owner and the next one', [riderOf('a.1.1', 1), riderOf('b.1.2', 2)]],
    [
      'of an owner that writes fences and the next one',
      [riderOf('a.1.1', 1, true), riderOf('b.1.2', 2, true)],
    ],
    ['of which one has an owner that writes fences', [riderOf('a.1.1', 1), riderOf('b.2.2', 2, true)]],
    ['of an owner that gives the worker up between them', [riderOf('a.1.2', 2), riderOf('b.2.2', 2)]],
  ])('%s keep K1 to K6 in every life, and everybody is answered in the end', (_, riders) => {
    const start: Watched = { state: newCheckpoints(), riders, fence: 0, losses: 0, onItsWay: undefined };
    const { states } = walkLives<Watched, Event, CheckpointEffect<Rider>[]>({
      starts: [start],
      inputs: eventsOf,
      receive(watched, event) {
        const effects = happen(watched, event);
        follow(watched, event, effects);
        return { state: watched, effects };
      },
      check: ({ before, after, effects }) => check(before, after, effects),
      key: (watched) => JSON.stringify(watched, plain),
      mustReach: ({ riders, state }) =>
        riders.every(({ answer }) => answer === 'goes on' || answer === 'refused') &&
        pendingCount(state) === 0,
    });
    expect(states.length).toBeGreaterThan(1000);
  });
});
