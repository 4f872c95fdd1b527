// Who we are to NATS, from files that are read again for every connection, so that a Secret may change under a service
// that runs.
//
// Fails: `checkReadable` throws the key and the file that cannot be read; an authenticator that cannot read says so and sends
// nothing, which the server refuses: the next try reads again.
import { accessSync, constants, readFileSync } from 'node:fs';
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  usernamePasswordAuthenticator,
} from '@nats-io/nats-core';

/** Files; one of three kinds. White space around user, password and seed is not part of them. */
export type Credentials =
  | { userFile: string; passwordFile: string }
  /** Holds an nkey seed ("SU..."). */
  | { nkeySeedFile: string }
  /** JWT and seed, as `nsc` writes them. */
  | { credsFile: string };

/** PEM files. Without `ca` the system's authorities are trusted. */
export interface TlsFiles {
  ca?: string | undefined;
  certificate?: string | undefined;
  key?: string | undefined;
}

/** Every file by the configuration key that names it. */
export function filesOf(credentials: Credentials | undefined, tls: TlsFiles | undefined): [string, string][] {
  const named = (prefix: string, files: object | undefined) =>
    Object.entries(files ?? {}).flatMap(([key, file]): [string, string][] =>
      typeof file === 'string' ? [[`${prefix}.${key}`, file]] : [],
    );
  return [...named('nats.credentials', credentials), ...named('nats.tls', tls)];
}

/** Throws when a file cannot be read: its key, its name and why. */
export function checkReadable(files: readonly [string, string][]): void {
  for (const [key, file] of files) {
    try {
      accessSync(file, constants.R_OK);
    } catch (error) {
      throw new Error(`${key}: ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
}

const textOf = (file: string) => readFileSync(file, 'utf8').trim();
const octetsOf = (file: string) => new TextEncoder().encode(textOf(file));

function kindOf(credentials: Credentials): Authenticator {
  if ('userFile' in credentials) {
    const { userFile, passwordFile } = credentials;
    return usernamePasswordAuthenticator(
      () => textOf(userFile),
      () => textOf(passwordFile),
    );
  }
  if ('nkeySeedFile' in credentials) return nkeyAuthenticator(() => octetsOf(credentials.nkeySeedFile));
  // Its parser wants a line end behind the last line.
  return credsAuthenticator(() => new TextEncoder().encode(`${textOf(credentials.credsFile)}\n`));
}

/** What answers the server's demand for credentials; what it throws would close the connection for ever. */
export function authenticatorOf(
  credentials: Credentials,
  onTrouble: (reason: string) => void,
): Authenticator {
  const authenticate = kindOf(credentials);
  return (nonce) => {
    try {
      return authenticate(nonce);
    } catch (error) {
      const files = Object.values(credentials).join(' and ');
      onTrouble(`nats.credentials: ${files} cannot be used: ${(error as Error).message}`);
      return undefined;
    }
  };
}
