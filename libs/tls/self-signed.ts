// Makes a self-signed certificate, so that the sample speaks TLS without a certificate authority (RFC 5280 §4). Its name
// proves nothing to anybody: for mail to the outside, get one that is signed by others.
import { generateKeyPairSync, hash, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import {
  bitString,
  boolean,
  explicitly,
  implicitly,
  integer,
  objectId,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from './der.ts';

/** PEM, as in files. */
export interface SelfSigned {
  certificate: string;
  /** PKCS #8. */
  key: string;
}

const DAY_MS = 86_400_000;
const VALID_DAYS = 3650;
/** Longest common name (RFC 5280 appendix A.1, ub-common-name). */
const COMMON_NAME_MAX = 64;

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;

/** A certificate for `hostname` and for this machine by its loopback names; valid for ten years from yesterday. */
export function makeSelfSigned(hostname: string, nowMs: number = Date.now()): SelfSigned {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const toBeSigned = certificateOf(hostname, publicKey, nowMs);
  const signature = sign('sha256', toBeSigned, privateKey);
  const certificate = sequence(toBeSigned, sequence(objectId(OID.ecdsaWithSha256)), bitString(signature));
  return {
    certificate: pem('CERTIFICATE', certificate),
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  };
}

/** The part that is signed (§4.1.2). */
function certificateOf(hostname: string, publicKey: KeyObject, nowMs: number): Buffer {
  const version3 = explicitly(0, integer(Buffer.from([2])));
  // 64 random bits, and never zero (§4.1.2.2).
  const serial = integer(Buffer.concat([Buffer.from([1]), randomBytes(8)]));
  const commonName = hostname.length > COMMON_NAME_MAX ? 'postrider' : hostname;
  const name = sequence(set(sequence(objectId(OID.commonName), utf8String(commonName))));
  const validity = sequence(time(nowMs - DAY_MS), time(nowMs + VALID_DAYS * DAY_MS));
  const keyInfo = publicKey.export({ type: 'spki', format: 'der' });
  const extensions = explicitly(3, sequence(...extensionsFor(hostname, keyInfo)));
  const algorithm = sequence(objectId(OID.ecdsaWithSha256));
  return sequence(version3, serial, algorithm, name, validity, name, keyInfo, extensions);
}

function extensionsFor(hostname: string, keyInfo: Buffer): Buffer[] {
  const digitalSignature = bitString(Buffer.from([0x80]), 7);
  const keyIdentifier = hash('sha1', keyInfo, 'buffer');
  return [
    extension(OID.basicConstraints, sequence(), 'critical'),
    extension(OID.keyUsage, digitalSignature, 'critical'),
    extension(OID.extendedKeyUsage, sequence(objectId(OID.serverAuth))),
    extension(OID.subjectKeyIdentifier, octetString(keyIdentifier)),
    extension(OID.subjectAltName, sequence(...alternativeNames(hostname))),
  ];
}

function extension(id: string, value: Buffer, weight: 'critical' | 'optional' = 'optional'): Buffer {
  const flags = weight === 'critical' ? [boolean('true')] : [];
  return sequence(objectId(id), ...flags, octetString(value));
}

/** dNSName is [2], iPAddress is [7] with the octets of the address (§4.2.1.6). */
function alternativeNames(hostname: string): Buffer[] {
  const names = new Set([hostname, 'localhost', '127.0.0.1', '::1']);
  return [...names].map((name) =>
    isIP(name) === 0
      ? implicitly(2, Buffer.from(name, 'ascii'))
      : implicitly(7, Buffer.from(ipaddr.parse(name).toByteArray())),
  );
}

function pem(label: string, octets: Buffer): string {
  const lines = octets.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
