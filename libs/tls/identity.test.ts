import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { TlsFileError, TlsIdentity } from './identity.ts';
import { makeSelfSigned } from './self-signed.ts';

const folder = mkdtempSync(join(tmpdir(), 'postrider-tls-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const ours = makeSelfSigned('mx.example.com', Date.UTC(2026, 0, 2));
const other = makeSelfSigned('other.example');
const certificate = write('certificate.pem', ours.certificate);
const key = write('key.pem', ours.key);

describe('A TLS identity', () => {
  test('is read from files and knows when it expires', () => {
    const identity = new TlsIdentity({ certificate, key });
    expect(identity.context).toBeDefined();
    expect(new Date(identity.validUntilMs).getUTCFullYear()).toBe(2035);
  });

  test.each([
    [
      'a missing file',
      { certificate: join(folder, 'none.pem'), key },
      /none\.pem: cannot be read \(ENOENT\)/,
    ],
    ['a folder', { certificate, key: folder }, /cannot be read \(EISDIR\)/],
    [
      'no certificate',
      { certificate: write('bad.pem', 'hello'), key },
      /bad\.pem: expected a PEM certificate/,
    ],
    ['no key', { certificate, key: certificate }, /certificate\.pem: expected a PEM private key/],
    [
      "another's key",
      { certificate, key: write('other.pem', other.key) },
      /other\.pem: this key does not belong to the certificate in .*certificate\.pem/,
    ],
  ])('refuses %s and names the file', (_what, files, message) => {
    expect(() => new TlsIdentity(files)).toThrow(TlsFileError);
    expect(() => new TlsIdentity(files)).toThrow(message);
  });

  test('is replaced by a reload, and kept when that fails', () => {
    const files = { certificate: write('c2.pem', ours.certificate), key: write('k2.pem', ours.key) };
    const identity = new TlsIdentity(files);
    const first = identity.context;
    writeFileSync(files.key, other.key);
    expect(() => identity.reload()).toThrow(TlsFileError);
    expect(identity.context).toBe(first);
    writeFileSync(files.certificate, other.certificate);
    identity.reload();
    expect(identity.context).not.toBe(first);
  });
});
