import { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { onStopRequest } from './stop-request.ts';

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  readonly connected: boolean;

  constructor(connected: boolean) {
    super();
    this.connected = connected;
  }

  exit(code: number): void {
    this.exits.push(code);
  }
}

function watched(connected = true) {
  const process = new FakeProcess(connected);
  const reasons: string[] = [];
  /** Waits that a further signal can cut short. */
  const waits = { left: 0 };
  onStopRequest(process, {
    stop: (reason) => reasons.push(reason),
    hurry: () => waits.left-- > 0,
  });
  return { process, reasons, waits };
}

describe('A request to stop', () => {
  test.each(['SIGTERM', 'SIGINT'])('by %s is heard once; a second signal exits at once', (signal) => {
    const { process, reasons } = watched();
    process.emit(signal);
    expect(reasons).toEqual([signal]);
    expect(process.exits).toEqual([]);
    process.emit('SIGINT');
    expect(reasons).toEqual([signal]);
    expect(process.exits).toEqual([1]);
  });

  test('is followed by a second signal that cuts a wait short; a third exits at once', () => {
    const { process, reasons, waits } = watched();
    process.emit('SIGTERM');
    waits.left = 1;
    process.emit('SIGTERM');
    expect(process.exits).toEqual([]);
    process.emit('SIGTERM');
    expect(process.exits).toEqual([1]);
    expect(reasons).toEqual(['SIGTERM']);
  });

  test('is also that the starter is gone', () => {
    const { process, reasons } = watched();
    process.emit('disconnect');
    expect(reasons).toEqual(['the starter is gone']);
  });

  test('that follows another is not heard, when it is only the starter that went', () => {
    const { process, reasons } = watched();
    process.emit('SIGTERM');
    process.emit('disconnect');
    expect(reasons).toEqual(['SIGTERM']);
    expect(process.exits).toEqual([]);
  });

  test('needs no starter', () => {
    const { process, reasons } = watched(false);
    process.emit('disconnect');
    expect(reasons).toEqual([]);
  });
});
