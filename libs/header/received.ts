// Builds the Received field that a mail gets on arrival (RFC 5321 §4.4). It never names the recipients.

/** What the field tells. `clientAddress`: IPv4 or IPv6 text, '' for a Unix socket. `dateText`: from DateLine. */
export interface Arrival {
  /** Argument of EHLO or HELO, [A-Za-z0-9._:\[\]-]{1,255}. */
  clientName: string;
  clientAddress: string;
  hostname: string;
  protocol: 'SMTP' | 'ESMTP' | 'ESMTPS';
  queueId: string;
  dateText: string;
}

/** The field with its CRLF, ASCII; folded so that only a long name makes a line longer than 78 characters. */
export function receivedField(arrival: Arrival): string {
  const { clientName, clientAddress, hostname, protocol, queueId, dateText } = arrival;
  const from = `Received: from ${clientName}`;
  const tcpInfo = clientAddress === '' ? from : joined(from, `(${addressLiteral(clientAddress)})`);
  const by = joined(`\tby ${hostname} with ${protocol}`, `id ${queueId};`);
  return `${tcpInfo}\r\n${by}\r\n\t${dateText}\r\n`;
}

/** Both on one line, or folded between them when that line would be longer than 78 characters (RFC 5322 §2.1.1). */
function joined(left: string, right: string): string {
  return left.length + 1 + right.length <= 78 ? `${left} ${right}` : `${left}\r\n\t${right}`;
}

/** "[192.0.2.1]" or "[IPv6:2001:db8::1]" (§4.1.3); an IPv4-mapped address is shown as IPv4. */
function addressLiteral(address: string): string {
  if (!address.includes(':')) return `[${address}]`;
  const mapped = address.toLowerCase().startsWith('::ffff:') ? address.slice(7) : '';
  if (mapped.includes('.')) return `[${mapped}]`;
  const zone = address.indexOf('%');
  return `[IPv6:${zone < 0 ? address : address.slice(0, zone)}]`;
}

/** Dates of RFC 5322 §3.3 in UTC, made once per second. */
export class DateLine {
  private second = -1;
  private line = '';

  /** "Mon, 24 Nov 2025 16:30:00 +0000" for a time in milliseconds since 1970. */
  text(nowMs: number): string {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.second) {
      this.second = second;
      this.line = new Date(second * 1000).toUTCString().replace('GMT', '+0000');
    }
    return this.line;
  }
}
