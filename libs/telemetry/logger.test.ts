import { describe, expect, test } from '@jest/globals';
import { diag } from '@opentelemetry/api';
import { logSdkTrouble, makeLogger } from './logger.ts';

function loggerTo(lines: Record<string, unknown>[], level = 'info') {
  const destination = { write: (line: string) => lines.push(JSON.parse(line)) };
  return makeLogger({ service: 'queue', instance: 'queue-1', level, destination });
}

describe('A log line', () => {
  test('is JSON with service, instance, level and time', () => {
    const lines: Record<string, unknown>[] = [];
    loggerTo(lines).info({ queue_id: 'q1' }, 'hello');
    const { time, ...rest } = lines[0]!;
    expect(rest).toEqual({
      service: 'queue',
      instance: 'queue-1',
      level: 'info',
      queue_id: 'q1',
      msg: 'hello',
    });
    expect(new Date(time as string).getTime()).not.toBeNaN();
  });

  test('spells out the trace that it is given', () => {
    const lines: Record<string, unknown>[] = [];
    const logger = loggerTo(lines);
    const trace = { traceId: Buffer.alloc(16, 0xab), spanId: Buffer.alloc(8, 0xcd), flags: 1 };
    logger.info({ trace, queue_id: 'q1' }, 'a');
    logger.info({ trace: undefined, queue_id: 'q2' }, 'b');
    expect(lines[0]).toMatchObject({ trace_id: 'ab'.repeat(16), span_id: 'cd'.repeat(8), queue_id: 'q1' });
    expect(lines[0]).not.toHaveProperty('trace');
    expect(lines[1]).not.toHaveProperty('trace_id');
  });
});

describe('Trouble of the telemetry SDK', () => {
  test('is said once a minute, whatever numbers it has', () => {
    const lines: Record<string, unknown>[] = [];
    let now = 0;
    logSdkTrouble(loggerTo(lines), () => now);
    diag.warn('Dropped 17 spans');
    diag.warn('Dropped 18 spans');
    diag.error(new Error('away') as unknown as string);
    now = 60_000;
    diag.warn('Dropped 19 spans');
    diag.disable();
    expect(lines.map(({ msg }) => msg)).toEqual([
      'telemetry: Dropped 17 spans',
      'telemetry: away',
      'telemetry: Dropped 19 spans',
    ]);
  });
});
