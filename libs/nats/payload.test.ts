import { describe, expect, test } from '@jest/globals';
import { headers as libraryHeaders } from '@nats-io/nats-core';
import {
  gatheredMax,
  headerOctets,
  PAYLOAD_OCTETS_MIN,
  payloadHindrance,
  recipientRoom,
  recordMax,
  singleMax,
} from './payload.ts';

describe('A server', () => {
  test('is refused in words when it takes too little', () => {
    expect(payloadHindrance(64 * 1024)).toBe(
      "nats-server's max_payload is 65536 octets, needed are at least 262144",
    );
    expect(payloadHindrance(PAYLOAD_OCTETS_MIN - 1)).toBeDefined();
    expect(payloadHindrance(PAYLOAD_OCTETS_MIN)).toBeUndefined();
  });
});

describe('What senders take of a payload', () => {
  test.each([PAYLOAD_OCTETS_MIN, 1024 ** 2, 8 * 1024 ** 2])('leaves room around it, of %d octets', (max) => {
    expect(gatheredMax(max)).toBeLessThanOrEqual(max / 2);
    expect(gatheredMax(max)).toBeLessThanOrEqual(256 * 1024);
    expect(singleMax(max)).toBeLessThan(max);
    expect(recordMax(max)).toBe(max - 64 * 1024);
    const { recipients, pathOctets } = recipientRoom(max);
    // RFC 5321 section 4.5.3.1.8: at least 100, of paths of up to 256 octets.
    expect(recipients).toBeGreaterThan(100);
    expect(pathOctets).toBeGreaterThan(100 * 260);
    expect(pathOctets).toBeLessThan(recordMax(max));
  });
});

describe('The octets of headers', () => {
  test('are those that the client library makes', () => {
    const record = { 'Postrider-Index': 'x'.repeat(5000), traceparent: '00-1', 'Nats-Msg-Id': 'ä' };
    const made = libraryHeaders();
    for (const [name, value] of Object.entries(record)) made.set(name, value);
    const octets = (made as unknown as { encode(): Uint8Array }).encode().length;
    expect(headerOctets(record)).toBe(octets);
  });
});
