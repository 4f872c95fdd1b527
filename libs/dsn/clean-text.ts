// Turns words of other hosts, and our own, into lines that are safe in a mail: printable ASCII, no line ends that were
// not put there by us, no line too long. Pure.

/** Longest line of a mail without its CRLF (RFC 5322 §2.1.1). */
export const LINE_OCTETS_MAX = 998;

/** Printable ASCII on one line, at most `max` characters: white space becomes one space, all else a question mark. */
export function cleanText(text: string, max: number): string {
  const oneLine = text.replace(/[\s\0]+/g, ' ').replace(/[^\x20-\x7e]/g, '?');
  const trimmed = oneLine.trim();
  return trimmed.length <= max ? trimmed : `${trimmed.slice(0, Math.max(0, max - 4)).trimEnd()} ...`;
}

/** The same without any space, for a value that is one word: a host, an address in a field. */
export function cleanWord(text: string, max: number): string {
  return text.replace(/[^\x21-\x7e]/g, '?').slice(0, max);
}

/** Words in lines of at most `width` characters, each after `indent`; a word that is longer is cut. */
export function wrap(text: string, width: number, indent: string): string[] {
  const room = width - indent.length;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    for (let from = 0; from < word.length; from += room) {
      const piece = word.slice(from, from + room);
      if (line !== '' && line.length + 1 + piece.length <= room) line += ` ${piece}`;
      else {
        if (line !== '') lines.push(indent + line);
        line = piece;
      }
    }
  }
  if (line !== '') lines.push(indent + line);
  return lines;
}

/** A field with its CRLF, folded at spaces so that lines stay under 78 characters where words allow (§2.2.3). */
export function foldedField(name: string, value: string): string {
  const [first, ...rest] = wrap(`${name}: ${value}`, 77, '');
  return [first, ...rest.map((line) => `\t${line}`)].join('\r\n') + '\r\n';
}
