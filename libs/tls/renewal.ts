// Notices that the files of a certificate were replaced, by looking now and then: a watch of the file system misses what
// Kubernetes does to a mounted Secret (a symbolic link above the files is swapped), and what network file systems do.
//
//   settled --another mark--> reading --fits--> settled
//                                |  ^
//                          fits not |--another mark
//                                v  |
//                             unsure --the same mark the next time--> settled (told: refused)
//
// Fails: files that are missing, half-written or do not fit are looked at again; only what stays so is told, and the old
// certificate is kept.
import type { TlsIdentity } from './identity.ts';

export interface RenewalOptions {
  identity: Pick<TlsIdentity, 'mark' | 'currentMark' | 'reload'>;
  /** Milliseconds between two looks. */
  everyMs: number;
  /** The identity has read another certificate. */
  onRenewed: () => void;
  /** The files have changed, and stay as they are, and cannot be used. */
  onRefused: (reason: string) => void;
}

export class CertificateRenewal {
  readonly #options: RenewalOptions;
  /** Mark of files that were told as refused. */
  #refused: string | undefined;
  /** Mark of files that did not fit the last time. */
  #unsure: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), this.#options.everyMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Looks at the files now. */
  look(): void {
    const { identity, onRenewed, onRefused } = this.#options;
    const mark = identity.currentMark();
    if (mark === identity.mark) {
      this.#refused = undefined;
      this.#unsure = undefined;
      return;
    }
    if (mark === this.#refused) return;
    try {
      identity.reload();
    } catch (error) {
      // The first time, another file may be on its way.
      if (mark === this.#unsure) {
        this.#refused = mark;
        onRefused((error as Error).message);
      } else this.#unsure = mark;
      return;
    }
    this.#refused = undefined;
    this.#unsure = undefined;
    onRenewed();
  }
}
