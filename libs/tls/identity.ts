// The certificate and key that a server shows, from files, replaceable while it runs.
//
// Fails: a file that cannot be read or is no PEM, a key that is not the certificate's -> TlsFileError, whose message
// names the file. A reload that fails keeps what was there.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';

/** Paths of PEM files; the certificate file may hold its chain, our own certificate first. */
export interface TlsFiles {
  certificate: string;
  key: string;
}

export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
}

/** One per process: every listener with TLS uses its current context for new handshakes. */
export class TlsIdentity {
  readonly #files: TlsFiles;
  #context: SecureContext;
  #validUntilMs = 0;

  /** Reads the files; throws TlsFileError. */
  constructor(files: TlsFiles) {
    this.#files = files;
    this.#context = this.#read();
  }

  get context(): SecureContext {
    return this.#context;
  }

  /** When the certificate expires, milliseconds since 1970. */
  get validUntilMs(): number {
    return this.#validUntilMs;
  }

  /** Reads the files again; throws TlsFileError and keeps what was there. */
  reload(): void {
    this.#context = this.#read();
  }

  #read(): SecureContext {
    const { certificate: certificateFile, key: keyFile } = this.#files;
    const cert = readPem(certificateFile);
    const key = readPem(keyFile);
    const certificate = understood(certificateFile, 'a PEM certificate', () => new X509Certificate(cert));
    const privateKey: KeyObject = understood(keyFile, 'a PEM private key', () => createPrivateKey(key));
    if (!certificate.checkPrivateKey(privateKey)) {
      throw new TlsFileError(`${keyFile}: this key does not belong to the certificate in ${certificateFile}`);
    }
    const context = understood(certificateFile, 'a usable certificate', () =>
      createSecureContext({ cert, key, minVersion: 'TLSv1.2' }),
    );
    this.#validUntilMs = certificate.validToDate.getTime();
    return context;
  }
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new TlsFileError(`${file}: cannot be read (${reason})`);
  }
}

function understood<T>(file: string, what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new TlsFileError(`${file}: expected ${what} (${(error as Error).message})`);
  }
}
