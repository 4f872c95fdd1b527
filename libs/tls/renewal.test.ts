import { unlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MountedSecret } from '#kit/mounted-secret.ts';
import { TlsIdentity } from './identity.ts';
import { CertificateRenewal } from './renewal.ts';
import { makeSelfSigned } from './self-signed.ts';

const first = makeSelfSigned('mx.example.com');
const second = makeSelfSigned('mx.example.com');

let secret: MountedSecret;
let identity: TlsIdentity;
let renewal: CertificateRenewal;
const told: string[] = [];

beforeEach(() => {
  told.length = 0;
  secret = new MountedSecret(first);
  identity = new TlsIdentity(secret.files);
  renewal = new CertificateRenewal({
    identity,
    everyMs: 15_000,
    onRenewed: () => told.push('renewed'),
    onRefused: (reason) => told.push(reason),
  });
});

afterEach(() => secret.remove());

/** Looks so often; what was told. */
function looks(times: number): string[] {
  for (let i = 0; i < times; i++) renewal.look();
  return told.splice(0);
}

describe('A certificate', () => {
  test('that stays as it is is left alone', () => {
    const { context } = identity;
    expect(looks(3)).toEqual([]);
    expect(identity.context).toBe(context);
  });

  test('is renewed once when the link above its files is swapped', () => {
    const { context } = identity;
    secret.update(second);
    expect(looks(3)).toEqual(['renewed']);
    expect(identity.context).not.toBe(context);
    secret.update(first);
    expect(looks(1)).toEqual(['renewed']);
  });

  test('is renewed when plain files are written one after the other, and nothing is told in between', () => {
    const { context } = identity;
    const [certificate, key] = [secret.files.certificate, secret.files.key];
    for (const file of [certificate, key]) unlinkSync(file);
    expect(looks(1)).toEqual([]);
    writeFileSync(certificate, second.certificate);
    expect(looks(1)).toEqual([]);
    expect(identity.context).toBe(context);
    writeFileSync(key, second.key);
    expect(looks(2)).toEqual(['renewed']);
  });

  test('is kept while its files are missing for a moment', () => {
    const { context } = identity;
    secret.hide();
    expect(looks(1)).toEqual([]);
    secret.show();
    expect(looks(3)).toEqual([]);
    expect(identity.context).toBe(context);
  });

  test('is kept when the new one does not fit, which is told once; a better one is taken', () => {
    const { context, validUntilMs } = identity;
    secret.update({ certificate: second.certificate, key: first.key });
    expect(looks(5)).toEqual([
      expect.stringMatching(/tls\.key: this key does not belong to the certificate/),
    ]);
    expect([identity.context, identity.validUntilMs]).toEqual([context, validUntilMs]);
    secret.update(second);
    expect(looks(2)).toEqual(['renewed']);
  });

  test('whose files stay missing is told once, and taken when they are back', () => {
    secret.hide();
    expect(looks(5)).toEqual([expect.stringMatching(/tls\.crt: cannot be read \(ENOENT\)/)]);
    secret.show();
    secret.update(second);
    expect(looks(2)).toEqual(['renewed']);
  });

  test('that somebody else has read again is not told twice', () => {
    secret.update(second);
    identity.reload();
    expect(looks(2)).toEqual([]);
  });
});
