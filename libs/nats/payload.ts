// How large a message may be: what the server allows (max_payload, of each server its own), the least that we can work
// with, and the shares that senders take of it. Pure.

/**
 * Octets of max_payload without which nothing starts. The largest things that cannot be cut: the index of a pack, which
 * travels in headers beside at least one frame (48 + 64 KiB); the rules about traces, one record (256 KiB with their
 * headers); and a job, an outcome and a state for as many recipients as `recipientsWithin` lets into one mail. NATS's own default
 * is 1 MiB.
 */
export const PAYLOAD_OCTETS_MIN = 256 * 1024;

/** What gathers many things (jobs, outcomes, attempts in flight) is sent from here on, also where the server takes more. */
const GATHERED_OCTETS_MAX = 256 * 1024;

/** Octets left for the headers of a record: the index of a pack (48 KiB), ids, fences, positions in a batch. */
const HEADERS_OCTETS = 64 * 1024;
/** Octets left for what stands around one thing that fills a message: names, ids, a trace. */
const AROUND_OCTETS = 4 * 1024;
/**
 * Octets of max_payload for each recipient of a mail. The most that one message must say of a recipient, when every word is cut, is 16
 * octets (an outcome); of its state it is less, beside the name of its domain, which counts among the octets of its path.
 */
const OCTETS_PER_RECIPIENT = 20;
/** Share of a pack for the forward-paths of one mail; the rest is for what else stands in its envelope. */
const ENVELOPE_SHARE = 0.9;

/** Why a server with this max_payload cannot be used; undefined when it can. */
export function payloadHindrance(payloadMax: number): string | undefined {
  if (payloadMax >= PAYLOAD_OCTETS_MIN) return undefined;
  return `nats-server's max_payload is ${payloadMax} octets, needed are at least ${PAYLOAD_OCTETS_MIN}`;
}

/** Octets at which a message that gathers many things is full. */
export function gatheredMax(payloadMax: number): number {
  return Math.min(GATHERED_OCTETS_MAX, Math.floor(payloadMax / 2));
}

/** Octets of one thing that cannot be parted any further, with what stands around it. */
export function singleMax(payloadMax: number): number {
  return payloadMax - AROUND_OCTETS;
}

/** Octets of a record's payload beside its headers. */
export function recordMax(payloadMax: number): number {
  return payloadMax - HEADERS_OCTETS;
}

/** What one mail's recipients may be so that its envelope, its jobs, outcomes and state fit in one message each. */
export interface RecipientRoom {
  recipients: number;
  /** Octets of their forward-paths, and 4 for each. */
  pathOctets: number;
}

export function recipientRoom(payloadMax: number): RecipientRoom {
  return {
    recipients: Math.floor(payloadMax / OCTETS_PER_RECIPIENT),
    pathOctets: Math.floor(recordMax(payloadMax) * ENVELOPE_SHARE),
  };
}

/** Octets of `headers` on the wire. */
export function headerOctets(headers: Readonly<Record<string, string>>): number {
  // "NATS/1.0" and the empty line.
  let octets = 12;
  for (const name in headers) octets += name.length + 4 + Buffer.byteLength(headers[name]!);
  return octets;
}
