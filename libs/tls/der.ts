// The few DER encodings (X.690 §8, §10) that a certificate needs. It encodes only; node:crypto reads.

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag, length and contents of one value; `tag` below 256. */
export function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const octets = contents.reduce((sum, content) => sum + content.length, 0);
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(octets)]), ...contents]);
}

/** Short form below 128, else the number of length octets and these (§8.1.3). */
function lengthOctets(octets: number): number[] {
  if (octets < 128) return [octets];
  const digits: number[] = [];
  for (let rest = octets; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return [0x80 | digits.length, ...digits];
}

export function sequence(...contents: readonly Buffer[]): Buffer {
  return der(TAG.sequence, ...contents);
}

export function set(...contents: readonly Buffer[]): Buffer {
  return der(TAG.set, ...contents);
}

export function boolean(value: 'true' | 'false'): Buffer {
  return der(TAG.boolean, Buffer.from([value === 'true' ? 0xff : 0x00]));
}

/** An unsigned integer from its big-endian octets: as short as can be, and never taken for a negative one (§8.3). */
export function integer(octets: Uint8Array): Buffer {
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start++;
  const digits = Buffer.from(octets.subarray(start));
  return (digits[0] ?? 0) < 0x80 ? der(TAG.integer, digits) : der(TAG.integer, Buffer.from([0]), digits);
}

/** A whole number of octets; `unusedBits` of the last one do not count (§8.6). */
export function bitString(octets: Buffer, unusedBits = 0): Buffer {
  return der(TAG.bitString, Buffer.from([unusedBits]), octets);
}

export function octetString(octets: Buffer): Buffer {
  return der(TAG.octetString, octets);
}

export function utf8String(text: string): Buffer {
  return der(TAG.utf8String, Buffer.from(text, 'utf8'));
}

/** An object identifier in dotted form, such as "2.5.4.3" (§8.19). */
export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(TAG.objectId, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(arc: number): number[] {
  const digits = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) {
    digits.unshift(0x80 | (rest % 128));
  }
  return digits;
}

/** A point in time, to the second: two digits of the year until 2049, four later (RFC 5280 §4.1.2.5). */
export function time(atMs: number): Buffer {
  const digits = new Date(atMs)
    .toISOString()
    .replace(/\.\d{3}/, '')
    .replace(/[-:T]/g, '');
  return digits < '2050'
    ? der(TAG.utcTime, Buffer.from(digits.slice(2), 'ascii'))
    : der(TAG.generalizedTime, Buffer.from(digits, 'ascii'));
}

/** A value with a tag of its own around it, such as [0] (§8.14). */
export function explicitly(number: number, value: Buffer): Buffer {
  return der(0xa0 | number, value);
}

/** A primitive value whose tag is [number] alone. */
export function implicitly(number: number, octets: Buffer): Buffer {
  return der(0x80 | number, octets);
}
