// What DNS can say to a question: a closed union that keeps "there is none" apart from "nobody could tell". Types only.

export interface MailExchanger {
  preference: number;
  /** Lower case, without the last dot; "." is the null MX (RFC 7505 §3). */
  exchanger: string;
}

/** The data of a record, by its type. */
export interface RecordOf {
  A: string;
  AAAA: string;
  MX: MailExchanger;
}

export type RecordType = keyof RecordOf;

export interface DnsQuestion {
  /** A host name (name.ts). */
  name: string;
  type: RecordType;
}

/**
 * malformed: not a readable answer; unreachable: the system says that nobody listens there; busy: too many questions
 * wait here.
 */
export type TroubleReason = 'servfail' | 'refused' | 'timeout' | 'malformed' | 'unreachable' | 'busy';

/** Nobody could tell: says nothing about the name. */
export interface DnsTrouble {
  kind: 'trouble';
  reason: TroubleReason;
}

/** `ttlMs` is how long it may be kept from now; 0 where the answer did not say (RFC 2308 §5). */
export type DnsAnswer<Record> =
  /** At least one record. */
  | { kind: 'found'; records: readonly Record[]; ttlMs: number }
  /** The name exists and has no record of this type. */
  | { kind: 'nodata'; ttlMs: number }
  | { kind: 'nxdomain'; ttlMs: number }
  | DnsTrouble;

export function trouble(reason: TroubleReason): DnsTrouble {
  return { kind: 'trouble', reason };
}
