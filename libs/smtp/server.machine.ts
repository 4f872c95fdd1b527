// Order of one SMTP session as its server (RFC 5321 §4.1.4), with no I/O.
import type { ServerEffect, ServerInput, ServerPolicyOptions, ServerSession } from './server-session.ts';

/** A policy with its texts made once. */
export interface ServerPolicy extends ServerPolicyOptions {
  greetingText: string;
}

/** Makes the policy of a listener or of a kind of client; keep it, it is not cheap. */
export function serverPolicy(options: ServerPolicyOptions): ServerPolicy {
  return { ...options, greetingText: '' };
}

/** A new session; feed it `connected` first. */
export function openSession(tls: 'off' | 'on'): ServerSession {
  return { phase: { name: 'arriving' }, tls, badCommands: 0, farewell: 'none' };
}

/** Changes `session` in place and returns what to do, in order. The array may be reused: read it before the next call. */
export function receive(
  _session: ServerSession,
  _input: ServerInput,
  _policy: ServerPolicy,
): readonly ServerEffect[] {
  return [];
}

/** True when the next command may be fed; false while an answer of ours is awaited, in mail data, and after the end. */
export function takesCommands(_session: ServerSession): boolean {
  return false;
}

/** True when it is the client's turn, so that its silence is measured (RFC 5321 §4.5.3.2.7). */
export function awaitsClient(_session: ServerSession): boolean {
  return false;
}
