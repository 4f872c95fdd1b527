import { describe, expect, test } from '@jest/globals';
import { type Lives, walkLives } from './lives.ts';

type Door = { phase: 'open' | 'shut' | 'locked'; knocks: number };
type Act = 'push' | 'pull' | 'lock' | 'knock';

const door: Lives<Door, Act, string[]> = {
  starts: [{ phase: 'open', knocks: 0 }],
  inputs: (state) => (state.phase === 'locked' ? [] : ['push', 'pull', 'lock', 'knock']),
  receive(state, input) {
    if (input === 'push') state.phase = 'shut';
    if (input === 'pull') state.phase = 'open';
    if (input === 'lock' && state.phase === 'shut') state.phase = 'locked';
    if (input === 'knock') state.knocks = (state.knocks + 1) % 3;
    return { state, effects: [input] };
  },
  check: () => {},
};

describe('walkLives', () => {
  test('visits every state once, though the machine changes its state in place', () => {
    const walked = walkLives(door);
    expect(walked.states).toHaveLength(9);
    expect(walked.steps).toBe(24);
  });

  test('tells the shortest story of a broken check', () => {
    const check: typeof door.check = ({ after }) => {
      if (after.phase === 'locked') throw new Error('nobody has the key');
    };
    expect(() => walkLives({ ...door, check })).toThrow(/1\. "push"\n {2}2\. "lock"\nin state/);
  });

  test('keys decide which states are one', () => {
    expect(walkLives({ ...door, key: (state) => state.phase }).states).toHaveLength(3);
  });

  test('finds states from which the wanted end cannot be reached', () => {
    expect(walkLives({ ...door, mustReach: (s) => s.phase === 'locked' }).states).toHaveLength(9);
    expect(() => walkLives({ ...door, mustReach: (s) => s.phase === 'open' })).toThrow(/no way out/);
  });

  test('refuses to walk for ever', () => {
    const endless: Lives<number, 'more', null> = {
      starts: [0],
      inputs: () => ['more'],
      receive: (state) => ({ state: state + 1, effects: null }),
      check: () => {},
      statesMax: 10,
    };
    expect(() => walkLives(endless)).toThrow(/more than 10 states/);
  });
});
