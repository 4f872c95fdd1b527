// Finds the end of the header section of mail data. Pure.

/** Octets of the header section without the empty line that ends it, at most `limit`, cut at a line. */
export function fieldEnd(mailData: Uint8Array, limit: number): number {
  const head = Buffer.from(mailData.buffer, mailData.byteOffset, Math.min(mailData.length, limit));
  if (head[0] === 0x0d && head[1] === 0x0a) return 0;
  const end = head.indexOf('\r\n\r\n');
  if (end !== -1) return end + 2;
  const lastLine = head.lastIndexOf('\r\n');
  return lastLine === -1 ? 0 : lastLine + 2;
}
