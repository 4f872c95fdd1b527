// When a process is asked to stop: SIGTERM, SIGINT, or its starter is gone (the IPC channel closes).
import type { EventEmitter } from 'node:events';

export interface StoppableProcess extends Pick<EventEmitter, 'on'> {
  exit(code: number): void;
  /** There when the process was forked. */
  readonly connected?: boolean;
}

export interface StopHandlers {
  /** Called once, at the first request. */
  stop(reason: string): void;
  /** A further signal: true when there was something to cut short. Otherwise the process exits at once. */
  hurry(): boolean;
}

/** Calls `stop` at the first request; a further signal hurries, or exits with code 1 at once. */
export function onStopRequest(process: StoppableProcess, { stop, hurry }: StopHandlers): void {
  let isStopping = false;
  const request = (reason: string) => {
    if (isStopping) return;
    isStopping = true;
    stop(reason);
  };
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      if (!isStopping) request(signal);
      else if (!hurry()) process.exit(1);
    });
  }
  // Listening keeps an IPC channel open, so only a process that has one listens.
  if (process.connected === true) process.on('disconnect', () => request('the starter is gone'));
}
