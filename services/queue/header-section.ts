// Finds the header section of mail data, for reports.
//
// Fails: what cannot be read is left out: a report without the original header section is still a report.
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Frame } from '#libs/pack/pack.ts';

const HEADER_OCTETS_MAX = 32 * 1024;

/** Octets of the header section without the empty line that ends it, at most `limit`, cut at a line. Pure. */
export function fieldEnd(mailData: Uint8Array, limit: number): number {
  const head = Buffer.from(mailData.buffer, mailData.byteOffset, Math.min(mailData.length, limit));
  if (head[0] === 0x0d && head[1] === 0x0a) return 0;
  const end = head.indexOf('\r\n\r\n');
  if (end !== -1) return end + 2;
  const lastLine = head.lastIndexOf('\r\n');
  return lastLine === -1 ? 0 : lastLine + 2;
}

/** Our trace fields and the header section of the mail, with the CRLF of the last field. */
export async function headerSectionOf(
  frame: Frame,
  direct: Pick<DirectGet, 'bySequence'>,
  withinMs: number,
): Promise<Uint8Array> {
  const data = await startOfData(frame, direct, withinMs);
  return Buffer.concat([frame.prepended, data.subarray(0, fieldEnd(data, HEADER_OCTETS_MAX))]);
}

/** A large mail has its data in chunks: the first one has its start. */
async function startOfData(
  frame: Frame,
  direct: Pick<DirectGet, 'bySequence'>,
  withinMs: number,
): Promise<Uint8Array> {
  const [chunk] = frame.envelope.chunks;
  if (chunk === undefined) return frame.data;
  const got = await direct.bySequence(chunk.stream, chunk.sequence, withinMs);
  return got.kind === 'found' ? got.record.data : new Uint8Array(0);
}
