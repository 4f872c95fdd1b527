// When a mail was accepted, as far as that can be believed: the time that ingress gave it is held against the time at which
// JetStream stored its pack, and where they differ our own clock decides between them. Pure.

/** Between acceptance and the storing of its pack lies no more than ingress's patience; the rest is for clocks. */
const APART_MS_MAX = 120_000;

/**
 * The believed time of acceptance, on the clock that `nowMs` is of; all in milliseconds since 1970. Of two clocks that differ the
 * later one is right unless it is ahead of ours: a machine that starts in 1970 must not make its mail old, nor one that is ahead
 * keep its mail from growing old.
 */
export function believedAcceptance(
  acceptedAtMs: number,
  { storedAtMs, nowMs }: { storedAtMs: number | undefined; nowMs: number },
): number {
  const other = storedAtMs ?? acceptedAtMs;
  if (Math.abs(acceptedAtMs - other) <= APART_MS_MAX) return acceptedAtMs;
  const later = Math.max(acceptedAtMs, other);
  return later <= nowMs + APART_MS_MAX ? later : Math.min(acceptedAtMs, other);
}
