// Every refusal of the resolver, once: code, enhanced code (RFC 3463, RFC 7505, RFC 5248) and words. It never decides
// which one. 4yz defers, 5yz fails.
import type { Reply } from '#proto/postrider/v1/mail.ts';

/** Code; enhanced code without its class (the class is the code's first digit, RFC 2034 §4); text. */
type Row = readonly [code: number, detail: string, text: string];

const rows = {
  troubledDns: [451, '4.3', 'DNS gives no usable answer'],
  troubledConfiguration: [451, '3.5', 'Host that the configuration names has no address'],
  noSuchDomain: [550, '1.2', 'Domain does not exist'],
  noAddress: [550, '4.4', 'No host for mail of the domain has an address'],
  loop: [554, '4.6', 'Mail for the domain would loop back to this host'],
  nullExchanger: [556, '1.10', 'Domain takes no mail (null MX)'],
} as const satisfies Record<string, Row>;

export type RefusalName = keyof typeof rows;

export const refusalNames = Object.keys(rows) as RefusalName[];

/** The reply; `about` says which name it is about. */
export function refusalReply(name: RefusalName, about: string): Reply {
  const [code, detail, text]: Row = rows[name];
  return { code, enhanced: `${Math.floor(code / 100)}.${detail}`, text: `${text}: ${about}`, host: '' };
}
