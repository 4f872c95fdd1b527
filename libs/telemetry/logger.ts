// JSON log lines on standard output (pino). A line may have `queue_id`, and `trace` (a TraceContext), which becomes
// trace_id and span_id.
import { DiagLogLevel, diag } from '@opentelemetry/api';
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import type { TraceContext } from '#proto/postrider/v1/mail.ts';
import { traceFields } from './trace-context.ts';

const SAME_LINE_AFTER_MS = 60_000;

function spellOutTrace(line: Record<string, unknown>): Record<string, unknown> {
  if (!('trace' in line)) return line;
  const { trace, ...rest } = line;
  return { ...rest, ...traceFields(trace as TraceContext | undefined) };
}

export interface LoggerOptions {
  service: string;
  instance: string;
  level: string;
  /** Absent means standard output. */
  destination?: DestinationStream;
}

export function makeLogger({ service, instance, level, destination }: LoggerOptions): Logger {
  const options = {
    level,
    base: { service, instance },
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }), log: spellOutTrace },
  };
  // Each line is written before the call returns: the last ones of a process that ends are those that matter.
  return pino(options, destination ?? pino.destination({ fd: 1, sync: true }));
}

/** Words of an SDK message, without the parts that change. */
function wordsOf(parts: unknown[]): string {
  return parts.map((part) => (part instanceof Error ? part.message : String(part))).join(' ');
}

/**
 * Sends the SDK's own complaints to the log, the same one at most once a minute: a receiver that is away would
 * otherwise fill it.
 */
export function logSdkTrouble(logger: Logger, now = () => performance.now()): void {
  const saidAt = new Map<string, number>();
  const say = (...parts: unknown[]) => {
    const words = wordsOf(parts);
    const key = words.slice(0, 80).replace(/\d+/g, '#');
    const last = saidAt.get(key);
    if (last !== undefined && now() - last < SAME_LINE_AFTER_MS) return;
    saidAt.set(key, now());
    logger.warn(`telemetry: ${words}`);
  };
  const silent = () => {};
  diag.setLogger(
    { error: say, warn: say, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}
