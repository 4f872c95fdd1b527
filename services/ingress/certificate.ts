// The certificate of the configuration.
import { TlsFileError, type TlsFiles, TlsIdentity } from '#libs/tls/identity.ts';

/** Reads it; throws an error that names the key and the file. */
export function openCertificate(files: TlsFiles): TlsIdentity {
  try {
    return new TlsIdentity(files);
  } catch (error) {
    if (!(error instanceof TlsFileError)) throw error;
    throw new Error(`tls.${error.of}: ${error.message}`);
  }
}
