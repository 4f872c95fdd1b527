import { describe, expect, test } from '@jest/globals';
import { Readiness } from './readiness.ts';

const WELL = { connected: true, hindrance: undefined };

describe('A service', () => {
  test('is not ready before it has started, whatever else is well', () => {
    const readiness = new Readiness();
    expect(readiness.reasonAgainst(WELL)).toBe('starting');
  });

  test('is ready once it has started, as long as NATS is there and nothing hinders it', () => {
    const readiness = new Readiness();
    readiness.started();
    expect(readiness.reasonAgainst(WELL)).toBeUndefined();
    expect(readiness.reasonAgainst({ ...WELL, connected: false })).toBe('NATS is away');
    expect(readiness.reasonAgainst({ ...WELL, hindrance: 'commits fail' })).toBe('commits fail');
    expect(readiness.reasonAgainst(WELL)).toBeUndefined();
  });

  test('that stops is never ready again', () => {
    const readiness = new Readiness();
    readiness.started();
    readiness.draining();
    readiness.started();
    expect(readiness.reasonAgainst(WELL)).toBe('draining');
  });
});
