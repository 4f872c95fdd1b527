// What a server offers in its reply to EHLO or LHLO (RFC 5321 §4.1.1.1), as far as this client uses it. Pure.

export interface Extensions {
  readonly pipelining: 'offered' | 'absent';
  readonly starttls: 'offered' | 'absent';
  readonly eightBitMime: 'offered' | 'absent';
  readonly size: 'offered' | 'absent';
  /** Largest mail in octets; 0 when the server states no limit (RFC 1870 §4). */
  readonly sizeMax: number;
}

/** What a server offers that knows only HELO. */
export const NO_EXTENSIONS: Extensions = {
  pipelining: 'absent',
  starttls: 'absent',
  eightBitMime: 'absent',
  size: 'absent',
  sizeMax: 0,
};

const SIZE = /^SIZE(?: +(\d{1,15}))?\s*$/i;

/** Extensions in the lines of a hello reply, codes cut off; the first line is the greeting and offers nothing. */
export function extensionsOf(lines: readonly string[]): Extensions {
  const words = new Set(lines.slice(1).map((line) => line.trimEnd().split(' ', 1)[0]!.toUpperCase()));
  const offers = (word: string) => (words.has(word) ? 'offered' : 'absent');
  const limit = lines.slice(1).find((line) => SIZE.test(line));
  return {
    pipelining: offers('PIPELINING'),
    starttls: offers('STARTTLS'),
    eightBitMime: offers('8BITMIME'),
    size: offers('SIZE'),
    sizeMax: limit === undefined ? 0 : Number(SIZE.exec(limit)![1] ?? 0),
  };
}
