// When a process is asked to stop: SIGTERM, SIGINT, or its starter is gone (the IPC channel closes).
import type { EventEmitter } from 'node:events';

export interface StoppableProcess extends Pick<EventEmitter, 'on'> {
  exit(code: number): void;
  /** There when the process was forked. */
  readonly connected?: boolean;
}

/** Calls `stop` once, at the first request; a second signal exits with code 1 at once. */
export function onStopRequest(process: StoppableProcess, stop: (reason: string) => void): void {
  let isStopping = false;
  const request = (reason: string) => {
    if (isStopping) return;
    isStopping = true;
    stop(reason);
  };
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      if (isStopping) process.exit(1);
      request(signal);
    });
  }
  // Listening keeps an IPC channel open, so only a process that has one listens.
  if (process.connected === true) process.on('disconnect', () => request('the starter is gone'));
}
