// Gives equal values one object: of 200,000 mails for a dead host the domain, the site and the last reply are kept once.
// Pure.
import type { Reply } from '#proto/postrider/v1/mail.ts';

/** When so many are known, all are forgotten: they are kept alive by those who use them. */
const KNOWN_MAX = 50_000;

export class Interned {
  readonly #texts = new Map<string, string>();
  readonly #replies = new Map<string, Reply>();

  text(value: string): string {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    if (this.#texts.size >= KNOWN_MAX) this.#texts.clear();
    this.#texts.set(value, value);
    return value;
  }

  reply(value: Reply): Reply {
    const key = `${value.code} ${value.enhanced} ${value.host} ${value.text}`;
    const known = this.#replies.get(key);
    if (known !== undefined) return known;
    if (this.#replies.size >= KNOWN_MAX) this.#replies.clear();
    this.#replies.set(key, value);
    return value;
  }
}
