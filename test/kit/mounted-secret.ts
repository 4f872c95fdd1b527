// A certificate in a Secret, as a kubelet mounts it into a real folder: tls.crt and tls.key are links through ..data, which
// links to a folder with a time in its name. A new version is a new folder; ..data is renamed over, the old one removed.
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface CertificateTexts {
  certificate: string;
  key: string;
}

export class MountedSecret {
  readonly folder = mkdtempSync(join(tmpdir(), 'postrider-secret-'));
  #version = 0;

  constructor(files: CertificateTexts) {
    this.update(files);
    for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(this.folder, name));
  }

  /** Paths as the configuration has them. */
  get files(): CertificateTexts {
    return { certificate: join(this.folder, 'tls.crt'), key: join(this.folder, 'tls.key') };
  }

  /** A new version of the Secret. */
  update({ certificate, key }: CertificateTexts): void {
    const name = `..2026_11_25_${++this.#version}`;
    mkdirSync(join(this.folder, name));
    writeFileSync(join(this.folder, name, 'tls.crt'), certificate);
    writeFileSync(join(this.folder, name, 'tls.key'), key);
    symlinkSync(name, join(this.folder, '..data_tmp'));
    renameSync(join(this.folder, '..data_tmp'), join(this.folder, '..data'));
    if (this.#version > 1)
      rmSync(join(this.folder, `..2026_11_25_${this.#version - 1}`), { recursive: true });
  }

  /** As if the mount were gone for a moment. */
  hide(): void {
    renameSync(join(this.folder, '..data'), join(this.folder, '..hidden'));
  }

  show(): void {
    renameSync(join(this.folder, '..hidden'), join(this.folder, '..data'));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}
