// The certificate and key that a server shows, from files, replaceable while it runs.
//
// Fails: a file that cannot be read or is no PEM, a key that is not the certificate's -> TlsFileError, whose message
// names the file, and that says whose it is. A reload that fails keeps what was there.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { fileMark } from './file-mark.ts';

/** Paths of PEM files; the certificate file may hold its chain, our own certificate first. */
export interface TlsFiles {
  certificate: string;
  key: string;
}

export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
  /** Whose file it is. */
  readonly of: keyof TlsFiles;

  constructor(of: keyof TlsFiles, message: string) {
    super(message);
    this.of = of;
  }
}

/** One per process: every listener with TLS uses its current context for new handshakes. */
export class TlsIdentity {
  readonly #files: TlsFiles;
  #context: SecureContext;
  #validUntilMs = 0;
  #mark = '';

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

  /** Of the files that were read. */
  get mark(): string {
    return this.#mark;
  }

  /** Of the files as they are now: another one when they were changed or replaced since. */
  currentMark(): string {
    return `${fileMark(this.#files.certificate)} ${fileMark(this.#files.key)}`;
  }

  /** Reads the files again; throws TlsFileError and keeps what was there. */
  reload(): void {
    this.#context = this.#read();
  }

  #read(): SecureContext {
    const { certificate: certificateFile, key: keyFile } = this.#files;
    // Before they are read: what changes meanwhile is another mark.
    const mark = this.currentMark();
    const cert = readPem('certificate', certificateFile);
    const key = readPem('key', keyFile);
    const inCertificate = { of: 'certificate', file: certificateFile } as const;
    const certificate = understood(
      { ...inCertificate, what: 'a PEM certificate' },
      () => new X509Certificate(cert),
    );
    const privateKey: KeyObject = understood({ of: 'key', file: keyFile, what: 'a PEM private key' }, () =>
      createPrivateKey(key),
    );
    if (!certificate.checkPrivateKey(privateKey)) {
      const message = `${keyFile}: this key does not belong to the certificate in ${certificateFile}`;
      throw new TlsFileError('key', message);
    }
    const context = understood({ ...inCertificate, what: 'a usable certificate' }, () =>
      createSecureContext({ cert, key, minVersion: 'TLSv1.2' }),
    );
    this.#mark = mark;
    this.#validUntilMs = certificate.validToDate.getTime();
    return context;
  }
}

function readPem(of: keyof TlsFiles, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new TlsFileError(of, `${file}: cannot be read (${reason})`);
  }
}

function understood<T>(
  { of, file, what }: { of: keyof TlsFiles; file: string; what: string },
  read: () => T,
): T {
  try {
    return read();
  } catch (error) {
    throw new TlsFileError(of, `${file}: expected ${what} (${(error as Error).message})`);
  }
}
