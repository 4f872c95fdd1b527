import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { describe, expect, test } from '@jest/globals';
import { makeSelfSigned } from './self-signed.ts';

const now = Date.UTC(2026, 10, 24, 12, 30, 15);

describe('A self-signed certificate', () => {
  test('is read back by a parser that is not ours', () => {
    const { certificate, key } = makeSelfSigned('mx.example.com', now);
    const parsed = new X509Certificate(certificate);
    expect(parsed.subject).toBe('CN=mx.example.com');
    expect(parsed.issuer).toBe(parsed.subject);
    expect(parsed.verify(parsed.publicKey)).toBe(true);
    expect(parsed.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(parsed.subjectAltName).toBe(
      'DNS:mx.example.com, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
    expect(parsed.validFromDate.getTime()).toBe(now - 86_400_000);
    expect(parsed.validToDate.toISOString()).toBe('2036-11-21T12:30:15.000Z');
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(parsed.ca).toBe(false);
  });

  test('has another serial number and key each time', () => {
    const [first, second] = [makeSelfSigned('a.example'), makeSelfSigned('a.example')];
    expect(new X509Certificate(first.certificate).serialNumber).not.toBe(
      new X509Certificate(second.certificate).serialNumber,
    );
    expect(first.key).not.toBe(second.key);
  });

  test('is made for an address, a long name and a far date too', () => {
    const address = new X509Certificate(makeSelfSigned('192.0.2.1', now).certificate);
    expect(address.checkIP('192.0.2.1')).toBe('192.0.2.1');
    const long = `${'a'.repeat(60)}.example.com`;
    const named = new X509Certificate(makeSelfSigned(long, now).certificate);
    expect([named.subject, named.checkHost(long)]).toEqual(['CN=postrider', long]);
    const far = new X509Certificate(makeSelfSigned('a.example', Date.UTC(2060, 0, 1)).certificate);
    expect(far.validToDate.toISOString()).toBe('2069-12-29T00:00:00.000Z');
  });

  test('is good for a handshake with a client that knows and trusts it', async () => {
    const { certificate, key } = makeSelfSigned('mx.example.com');
    const server = createServer({ cert: certificate, key }, (socket) => socket.end('hello'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = connect({ port, host: '127.0.0.1', servername: 'mx.example.com', ca: certificate });
    let said = '';
    client.on('data', (piece) => {
      said += String(piece);
    });
    await once(client, 'secureConnect');
    expect(client.authorized).toBe(true);
    await once(client, 'close');
    expect(said).toBe('hello');
    server.close();
  });
});
