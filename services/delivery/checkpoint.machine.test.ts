import { describe, expect, test } from '@jest/globals';
import {
  ask,
  type CheckpointEffect,
  type CheckpointInput,
  type CheckpointsState,
  type KnownFence,
  longestWaiting,
  newCheckpoints,
  type Passenger,
  receive,
} from './checkpoint.machine.ts';

interface RiderJob {
  attemptId: string;
  epoch: number;
  partition: number;
  recipients: number[];
  fenced?: boolean;
}

interface Rider extends Passenger {
  attempt: { job: RiderJob; standing: Passenger['attempt']['standing'] };
}

const FENCE: KnownFence = { sequence: 5, epoch: 10, through: undefined };

function rider(attemptId: string, job: Partial<RiderJob> = {}): Rider {
  return {
    attempt: { job: { attemptId, epoch: 10, partition: 0, recipients: [], ...job }, standing: 'wanted' },
  };
}

function word(effect: CheckpointEffect<Rider>): string {
  switch (effect.kind) {
    case 'publish':
      return `publish ${effect.passengers.map(nameOf).join('+')} behind ${effect.fenceSequence}`;
    case 'readFence':
      return 'read';
    case 'pause':
      return `pause a ${effect.length}`;
    case 'missFence':
      return 'no fence';
    case 'goOn':
      return `go on ${nameOf(effect.passenger)}`;
    case 'refuse':
      return `refuse ${nameOf(effect.passenger)}: ${effect.cause}`;
  }
}

const nameOf = ({ attempt }: Rider) => attempt.job.attemptId;

/** Partition 0, told what happens there. */
function lane() {
  const state: CheckpointsState<Rider> = newCheckpoints();
  const tell = (input: CheckpointInput) => receive(state, input).map(word);
  const partition = 0;
  return {
    ask: (...riders: Rider[]) => {
      for (const one of riders) ask(state, one);
    },
    tell,
    depart: () => tell({ kind: 'departed' }),
    hear: (kind: 'stored' | 'conflict' | 'busy' | 'unavailable' | 'woken') => tell({ kind, partition }),
    fence: (fence: KnownFence) => tell({ kind: 'fenceRead', partition, fence }),
  };
}

/** One whose fence is known. */
function openLane(fence = FENCE) {
  const made = lane();
  made.ask(rider('first'));
  made.depart();
  made.fence(fence);
  made.hear('stored');
  return made;
}

describe('a lane of checkpoints', () => {
  test('reads the fence once, and stores all that came meanwhile in one record', () => {
    const { ask, depart, fence, hear } = lane();
    ask(rider('a'));
    expect(depart()).toEqual(['read']);
    ask(rider('b'));
    expect(depart()).toEqual([]);
    expect(fence(FENCE)).toEqual(['publish a+b behind 5']);
    ask(rider('c'), rider('d'));
    expect(depart()).toEqual([]);
    expect(hear('stored')).toEqual(['go on a', 'go on b', 'publish c+d behind 5']);
    expect(hear('stored')).toEqual(['go on c', 'go on d']);
    expect(depart()).toEqual([]);
  });

  test('reads the fence again when it has moved, and refuses those of owners before it', () => {
    const { ask, depart, fence, hear } = openLane();
    ask(rider('old'), rider('new', { epoch: 11 }), rider('newer', { epoch: 12 }));
    expect(depart()).toEqual(['publish old+new+newer behind 5']);
    expect(hear('conflict')).toEqual(['read']);
    expect(fence({ sequence: 8, epoch: 11, through: undefined })).toEqual([
      'refuse old: fenced',
      'publish new+newer behind 8',
    ]);
    ask(rider('older'));
    expect(hear('stored')).toEqual(['go on new', 'go on newer', 'refuse older: fenced']);
  });

  test('lets nothing pass that this worker was given up with', () => {
    const { ask, depart } = openLane({ sequence: 5, epoch: 10, through: 37 });
    ask(
      rider('q.11.a'),
      rider('q.12.a'),
      rider('odd'),

      rider('q.50.9'),
      rider('q.1.b', { epoch: 11 }),
    );
    expect(depart()).toEqual([
      'refuse q.11.a: fenced',
      'refuse odd: fenced',
      'refuse q.50.9: fenced',
      'publish q.12.a+q.1.b behind 5',
    ]);
  });

  test('waits a moment when the fence is still the one that it was refused behind', () => {
    const { ask, depart, fence, hear } = openLane();
    ask(rider('a'));
    depart();
    hear('conflict');
    expect(fence(FENCE)).toEqual(['pause a moment']);
    expect(hear('woken')).toEqual(['publish a behind 5']);
    expect(hear('stored')).toEqual(['go on a']);
  });

  test('tries again what is not stored: in a moment when others are at it, else after a while', () => {
    const { ask, depart, hear, tell, fence } = openLane();
    ask(rider('a'));
    depart();
    expect(hear('busy')).toEqual(['pause a moment']);
    ask(rider('b'));
    expect(depart()).toEqual([]);
    expect(hear('woken')).toEqual(['publish a+b behind 5']);
    expect(hear('unavailable')).toEqual(['pause a while']);
    tell({ kind: 'reconnected' });
    expect(hear('woken')).toEqual(['read']);
    expect(hear('unavailable')).toEqual(['pause a while']);
    expect(hear('woken')).toEqual(['read']);
    expect(fence(FENCE)).toEqual(['publish a+b behind 5']);
  });

  test('learns from a conflict in spite of a reconnection that made it forget', () => {
    const { ask, depart, hear, tell, fence } = openLane();
    ask(rider('a'));
    depart();
    tell({ kind: 'reconnected' });
    expect(hear('conflict')).toEqual(['read']);
    expect(fence(FENCE)).toEqual(['publish a behind 5']);
  });

  test('names nobody who is not wanted any more, and does not let him go on', () => {
    const { ask, depart, hear } = openLane();
    const [a, b, c] = [rider('a'), rider('b'), rider('c')];
    ask(a, b, c);
    b.attempt.standing = 'over';
    expect(depart()).toEqual(['refuse b: over', 'publish a+c behind 5']);
    c.attempt.standing = 'cancelled';
    expect(hear('busy')).toEqual(['pause a moment']);
    expect(hear('woken')).toEqual(['refuse c: cancelled', 'publish a behind 5']);
    a.attempt.standing = 'cancelled';
    expect(hear('stored')).toEqual(['refuse a: cancelled']);
  });

  test('has a limit to what one record names', () => {
    const { ask, depart, hear } = openLane();
    for (let i = 0; i < 1500; i++) ask(rider('x'));
    const words = [...depart(), ...hear('stored')].filter((one) => one.startsWith('publish'));
    expect(words.map((one) => one.split('+').length)).toEqual([1000, 500]);
    const many = (name: string, count: number) => rider(name, { recipients: new Array(count).fill(1) });
    hear('stored');
    ask(many('huge', 20_000), many('a', 9000), many('b', 1000), many('c', 1));
    expect(depart()).toEqual(['publish huge behind 5']);
    expect(hear('stored')).toEqual(['go on huge', 'publish a+b behind 5']);
    expect(hear('stored')).toEqual(['go on a', 'go on b', 'publish c behind 5']);
  });

  test('knows who has waited longest', () => {
    const state = newCheckpoints<Rider & { askedAtMs: number }>();
    const askAt = (name: string, partition: number, askedAtMs: number) =>
      ask(state, { ...rider(name, { partition }), askedAtMs });
    expect(longestWaiting(state)).toBeUndefined();
    askAt('a', 1, 30);
    askAt('b', 2, 20);
    askAt('c', 3, 40);
    receive(state, { kind: 'departed' });
    receive(state, { kind: 'fenceRead', partition: 2, fence: FENCE });
    askAt('d', 2, 50);
    expect(longestWaiting(state)?.attempt.job.attemptId).toBe('b');
    receive(state, { kind: 'stored', partition: 2 });
    expect(longestWaiting(state)?.attempt.job.attemptId).toBe('a');
  });

  test('has nothing to do with other partitions', () => {
    const { ask, depart, tell } = openLane();
    ask(rider('a'), rider('b', { partition: 1 }));
    expect(depart()).toEqual(['publish a behind 5', 'read']);
    expect(tell({ kind: 'fenceRead', partition: 1, fence: FENCE })).toEqual(['publish b behind 5']);
  });

  test('wait for the fence of their owner where it writes fences, and others do not (K6)', () => {
    const { ask, depart, tell } = lane();
    ask(rider('a', { fenced: true }), rider('b'), rider('c', { fenced: true, epoch: 9 }));
    expect(depart()).toEqual(['read']);
    const older: KnownFence = { sequence: 3, epoch: 9, through: undefined };
    expect(tell({ kind: 'fenceRead', partition: 0, fence: older })).toEqual(['publish b+c behind 3']);
    expect(tell({ kind: 'stored', partition: 0 })).toEqual(['go on b', 'go on c', 'read']);
    const none: KnownFence = { sequence: 0, epoch: 0, through: undefined };
    expect(tell({ kind: 'fenceRead', partition: 0, fence: none })).toEqual(['no fence', 'pause a while']);
    expect(tell({ kind: 'woken', partition: 0 })).toEqual(['read']);
    expect(tell({ kind: 'fenceRead', partition: 0, fence: FENCE })).toEqual(['publish a behind 5']);
    expect(tell({ kind: 'stored', partition: 0 })).toEqual(['go on a']);
  });

  test('read the next fence at once when they are of a newer owner than the one that is known (K6)', () => {
    const { ask, depart, tell } = lane();
    ask(rider('a'));
    depart();
    tell({ kind: 'fenceRead', partition: 0, fence: FENCE });
    tell({ kind: 'stored', partition: 0 });
    ask(rider('b', { fenced: true, epoch: 11 }));
    expect(depart()).toEqual(['read']);
  });
});
