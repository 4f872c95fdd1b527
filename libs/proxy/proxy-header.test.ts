import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import {
  type Endpoint,
  type ProxyHeader,
  ProxyHeaderReader,
  readProxyHeader,
  V2_OCTETS_MAX,
} from './proxy-header.ts';

const SIGNATURE = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10];

interface V2 {
  command?: number;
  family?: number;
  body?: number[];
  length?: number;
}

function v2({ command = 0x21, family = 0x11, body = [], length = body.length }: V2): Buffer {
  return Buffer.from([...SIGNATURE, command, family, length >> 8, length & 255, ...body]);
}

const bytesOf = (address: string) => ipaddr.parse(address).toByteArray();
const portBytes = (port: number) => [port >> 8, port & 255];

/** An encoder of its own, so that reading and writing cannot be wrong together. */
function encodeV2(source: Endpoint, destination: Endpoint, tlvs: number[] = []): Buffer {
  const addresses = [...bytesOf(source.address), ...bytesOf(destination.address)];
  const body = [...addresses, ...portBytes(source.port), ...portBytes(destination.port), ...tlvs];
  return v2({ family: source.address.includes(':') ? 0x21 : 0x11, body });
}

function encodeV1(source: Endpoint, destination: Endpoint): Buffer {
  const family = source.address.includes(':') ? 'TCP6' : 'TCP4';
  return Buffer.from(
    `PROXY ${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`,
  );
}

const text = (line: string) => readProxyHeader(Buffer.from(line, 'latin1'));

describe('A version 1 header', () => {
  test('names source and destination', () => {
    expect(text('PROXY TCP4 192.0.2.1 198.51.100.9 56324 25\r\nEHLO x\r\n')).toEqual({
      kind: 'proxied',
      source: { address: '192.0.2.1', port: 56_324 },
      destination: { address: '198.51.100.9', port: 25 },
      octets: 44,
    });
    expect(text('PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 0 65535\r\n')).toMatchObject({
      source: { address: '2001:db8::1', port: 0 },
      destination: { address: '::1', port: 65_535 },
    });
  });

  test.each(['PROXY UNKNOWN\r\n', 'PROXY UNKNOWN ffff::1 nonsense 1 2 3\r\n'])(
    'may name nobody: %j',
    (line) => {
      expect(text(line)).toEqual({ kind: 'unnamed', octets: line.length });
    },
  );

  test('may have 107 octets, and no more', () => {
    const longest = `PROXY UNKNOWN ${'x'.repeat(107 - 16)}\r\n`;
    expect(text(longest)).toEqual({ kind: 'unnamed', octets: 107 });
    expect(text(longest.replace('\r\n', 'x\r\n'))).toMatchObject({ kind: 'refused' });
    expect(text(longest.slice(0, 106))).toEqual({ kind: 'incomplete' });
    const longestOfAll = encodeV1(
      { address: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', port: 65_535 },
      { address: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', port: 65_535 },
    );
    expect(readProxyHeader(longestOfAll)).toMatchObject({ kind: 'proxied', octets: 104 });
  });

  test.each([
    ['no addresses', 'PROXY TCP4\r\n'],
    ['a missing port', 'PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n'],
    ['a word too many', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n'],
    ['a space at its end', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n'],
    ['two spaces', 'PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n'],
    ['a leading zero in an address', 'PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n'],
    ['a leading zero in a port', 'PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n'],
    ['a port in hexadecimal', 'PROXY TCP4 192.0.2.1 192.0.2.2 0x1 2\r\n'],
    ['a port that is too large', 'PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n'],
    ['an IPv6 address in TCP4', 'PROXY TCP4 ::1 ::2 1 2\r\n'],
    ['an IPv4 address in TCP6', 'PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n'],
    ['a zone', 'PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n'],
    ['a name', 'PROXY TCP4 localhost 192.0.2.2 1 2\r\n'],
    ['no known family', 'PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n'],
    ['a family in lower case', 'PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n'],
    ['a bare CR', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r \r\n'],
  ])('with %s is refused', (_what, line) => {
    expect(text(line)).toMatchObject({ kind: 'refused' });
  });
});

describe('A version 2 header', () => {
  const v4 = [192, 0, 2, 1, 198, 51, 100, 9, 0xdc, 0x04, 0, 25];

  test('names source and destination; TLVs are skipped, the client follows', () => {
    const header = v2({ body: [...v4, 0x04, 0, 1, 0] });
    expect(readProxyHeader(Buffer.concat([header, Buffer.from('EHLO x\r\n')]))).toEqual({
      kind: 'proxied',
      source: { address: '192.0.2.1', port: 56_324 },
      destination: { address: '198.51.100.9', port: 25 },
      octets: header.length,
    });
  });

  test.each([
    ['LOCAL', v2({ command: 0x20, family: 0 })],
    ['LOCAL with addresses that do not count', v2({ command: 0x20, body: v4 })],
    ['LOCAL of a family that nobody knows', v2({ command: 0x20, family: 0xff, body: [1] })],
    ['an unspecified family', v2({ family: 0, body: [1, 2, 3] })],
    ['an unspecified transport', v2({ family: 0x10, body: v4 })],
    ['Unix sockets', v2({ family: 0x31, body: Array.from({ length: 216 }, () => 0x2f) })],
  ])('of %s names nobody', (_what, header) => {
    expect(readProxyHeader(header)).toEqual({ kind: 'unnamed', octets: header.length });
    expect(readProxyHeader(header.subarray(0, -1))).toEqual({ kind: 'incomplete' });
  });

  test.each([
    ['of version 1', v2({ command: 0x11, body: v4 })],
    ['with an unknown command', v2({ command: 0x22, body: v4 })],
    ['with an unknown family', v2({ family: 0x41, body: v4 })],
    ['with an unknown transport', v2({ family: 0x13, body: v4 })],
    ['of datagrams', v2({ family: 0x12, body: v4 })],
    ['too short for IPv4', v2({ body: v4.slice(1) })],
    ['too short for IPv6', v2({ family: 0x21, body: Array.from({ length: 35 }, () => 0) })],
    ['too short for Unix sockets', v2({ family: 0x31, body: Array.from({ length: 215 }, () => 0) })],
    ['that is too long', v2({ body: v4, length: V2_OCTETS_MAX - 15 })],
  ])('%s is refused before the rest of it is there', (_what, header) => {
    expect(readProxyHeader(header)).toMatchObject({ kind: 'refused' });
  });

  test('may be as long as the limit', () => {
    const header = v2({ body: [...v4, ...Array.from({ length: V2_OCTETS_MAX - 16 - v4.length }, () => 0)] });
    expect(readProxyHeader(header)).toMatchObject({ kind: 'proxied', octets: V2_OCTETS_MAX });
  });
});

describe('What is no PROXY header', () => {
  test.each(['EHLO x\r\n', '\x16\x03\x01', 'PROXX', '\r\n\r\n\0\r\nQUIT\r\n', 'proxy TCP4', '\r\n\n', '\n'])(
    'is refused at its first wrong octet: %j',
    (octets) => {
      expect(text(octets)).toEqual({ kind: 'refused', reason: 'no PROXY header' });
    },
  );

  test('is not the beginning of one, of either version', () => {
    for (const whole of [Buffer.from('PROXY '), Buffer.from(SIGNATURE)]) {
      for (let length = 0; length <= whole.length; length++) {
        expect(readProxyHeader(whole.subarray(0, length))).toEqual({ kind: 'incomplete' });
      }
    }
  });
});

const port = fc.integer({ min: 0, max: 65_535 });
const canonical = (address: string) => ipaddr.parse(address).toString();
const pair = (address: fc.Arbitrary<string>) =>
  fc.tuple(
    fc.record({ address: address.map(canonical), port }),
    fc.record({ address: address.map(canonical), port }),
  );
const endpoints = fc.oneof(pair(fc.ipV4()), pair(fc.ipV6()));
const tlvs = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 300 });

describe('Any header', () => {
  test('reads back as it was written, whatever follows', () => {
    fc.assert(
      fc.property(endpoints, tlvs, fc.uint8Array(), ([source, destination], more, after) => {
        for (const header of [encodeV1(source, destination), encodeV2(source, destination, more)]) {
          const read = readProxyHeader(Buffer.concat([header, after]));
          expect(read).toEqual({ kind: 'proxied', source, destination, octets: header.length });
        }
      }),
    );
  });

  /** Headers, headers with an octet changed, and what begins like one. */
  const nearly = fc
    .tuple(endpoints, tlvs, fc.boolean(), fc.nat(), fc.option(fc.nat(255)))
    .map(([[source, destination], more, isV1, at, octet]) => {
      const header = isV1 ? encodeV1(source, destination) : encodeV2(source, destination, more);
      if (octet !== null) header[at % header.length] = octet;
      return Buffer.concat([header, Buffer.from('EHLO client.example\r\n')]);
    });
  const anything = fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets));
  const begun = anything.map((octets) => Buffer.concat([Buffer.from(SIGNATURE), octets]));

  test('says the same however it is cut into pieces, and nothing makes it throw', () => {
    const cuts = fc.array(fc.nat(400), { maxLength: 12 });
    fc.assert(
      fc.property(fc.oneof(nearly, anything, begun), cuts, (octets, at) => {
        const whole = readProxyHeader(octets);
        const { read, rest } = inPieces(octets, at);
        expect(read).toEqual(whole);
        if ('octets' in whole) expect(rest).toEqual(octets.subarray(whole.octets));
      }),
      { numRuns: 2000 },
    );
  });
});

/** What a reader says of the octets in pieces, and what came behind the header. */
function inPieces(octets: Buffer, at: readonly number[]): { read: ProxyHeader; rest: Buffer } {
  const reader = new ProxyHeaderReader();
  const ends = [...new Set([...at, octets.length])]
    .filter((end) => end <= octets.length)
    .sort((a, b) => a - b);
  let read: ProxyHeader = { kind: 'incomplete' };
  let from = 0;
  for (const end of ends) {
    read = reader.push(octets.subarray(from, end));
    from = end;
    if (read.kind !== 'incomplete') break;
  }
  const rest = 'octets' in read ? reader.rest(read.octets) : Buffer.alloc(0);
  return { read, rest: Buffer.concat([rest, octets.subarray(from)]) };
}
