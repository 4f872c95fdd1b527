import { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { StopRequests } from './stop-requests.ts';

function asked(connected = true) {
  const process = Object.assign(new EventEmitter(), { connected });
  const clock = { nowMs: 1000 };
  const said: string[] = [];
  const stops = new StopRequests(
    process,
    (line) => said.push(line),
    () => clock.nowMs,
  );
  let kills = 0;
  stops.onSecond(() => {
    kills += 1;
  });
  return { process, clock, said, stops, kills: () => kills };
}

describe('A request to stop the starter', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'disconnect'])('is heard: %s', async (event) => {
    const { process, stops, kills } = asked();
    expect(stops.isAsked).toBe(false);
    process.emit(event);
    await stops.first;
    expect(stops.isAsked).toBe(true);
    expect(kills()).toBe(0);
  });

  test('that arrives more than once within a second is one', () => {
    const { process, clock, said, kills } = asked();
    process.emit('SIGINT');
    clock.nowMs += 1000;
    process.emit('SIGINT');
    expect(kills()).toBe(0);
    expect(said).toHaveLength(1);
  });

  test('that is repeated later kills the services', () => {
    const { process, clock, kills } = asked();
    process.emit('SIGINT');
    clock.nowMs += 1001;
    process.emit('SIGINT');
    expect(kills()).toBe(1);
  });

  test('cannot come by a channel that is not there', () => {
    const { process, stops } = asked(false);
    process.emit('disconnect');
    expect(stops.isAsked).toBe(false);
  });
});
