// What the span of a mail's acceptance says: how the mail came, what was answered, and how long storing it took. No address and
// no local part is in it.
import { domainOf } from '#libs/mail/address.ts';
import { commitRefusalCode } from '#libs/smtp/server.machine.ts';
import type { CommitTrouble, Transaction } from '#libs/smtp/server-session.ts';
import type { LiveSpan } from '#libs/telemetry/tracing.ts';
import type { TraceContext } from '#proto/postrider/v1/mail.ts';
import { familyOf } from './client-address.ts';

export interface AcceptedFrom {
  /** Normalized. */
  clientAddress: string;
  listenerRole: 'mx' | 'relay';
  /** "TLSv1.3"; '' without TLS. */
  tlsVersion: string;
}

/** Ends with the first of `stored`, `refused` and `abandoned`. */
export class AcceptSpan {
  readonly #span: LiveSpan;
  #dataEndedAtMs: number | undefined;

  constructor(span: LiveSpan, from: AcceptedFrom, { reversePath, forwardPaths }: Transaction) {
    this.#span = span;
    span.set({
      'network.type': familyOf(from.clientAddress),
      'tls.protocol.version': from.tlsVersion,
      'mail.listener_role': from.listenerRole,
      'mail.source_domain': domainOf(reversePath),
      'mail.recipients': forwardPaths.length,
    });
  }

  get context(): TraceContext {
    return this.#span.context;
  }

  /** The data was whole at this time. */
  dataEnded(atMs: number): void {
    this.#dataEndedAtMs = atMs;
  }

  stored({ queueId, octets, atMs }: { queueId: string; octets: number; atMs: number }): void {
    this.#span.set({ 'mail.queue_id': queueId, 'mail.size': octets });
    this.#end(250, atMs);
  }

  refused(trouble: CommitTrouble, atMs: number): void {
    this.#span.fail(trouble);
    this.#end(commitRefusalCode(trouble), atMs);
  }

  /** Its data was refused with `code`; 0 when the client is gone. */
  abandoned(code: number): void {
    this.#span.fail(code === 0 ? 'the client is gone' : 'the data was refused');
    this.#end(code, undefined);
  }

  #end(code: number, committedAtMs: number | undefined): void {
    this.#span.set({ 'smtp.status_code': code });
    if (committedAtMs !== undefined && this.#dataEndedAtMs !== undefined) {
      this.#span.set({ 'mail.commit_ms': committedAtMs - this.#dataEndedAtMs });
    }
    this.#span.end();
  }
}
