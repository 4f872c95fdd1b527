// Every reply of the server side, once: code, enhanced code (RFC 3463, RFC 5248) and text. It never decides which one.

/** Code; enhanced code without its class (the class is the code's first digit, RFC 2034 §4), '' for none; text. */
type Row = readonly [code: number, detail: string, text: string];

const rows = {
  ready: [220, '', 'ESMTP Postrider'],
  startTlsReady: [220, '0.0', 'Ready to start TLS'],
  goodbye: [221, '0.0', 'Bye'],
  helpful: [214, '0.0', 'See RFC 5321'],
  ok: [250, '0.0', 'Ok'],
  senderOk: [250, '1.0', 'Sender ok'],
  recipientOk: [250, '1.5', 'Recipient ok'],
  queued: [250, '0.0', 'Ok: queued as'],
  notVerified: [252, '0.0', 'Not verified; send mail and see'],
  sendData: [354, '', 'End data with <CR><LF>.<CR><LF>'],

  shuttingDown: [421, '3.2', 'Service is shutting down, try again later'],
  overloaded: [421, '3.2', 'Too busy, try again later'],
  idleTooLong: [421, '4.2', 'Idle for too long'],
  tooManyBadCommands: [421, '7.0', 'Too many bad commands'],
  notTrusted: [421, '7.0', 'Only load balancers connect here; senders have another address'],
  commitUnavailable: [451, '3.0', 'Storage does not answer, try again later'],
  recipientDeferred: [451, '4.3', 'Recipient cannot be checked now, try again later'],
  noMemory: [452, '3.1', 'No room for mail data now, try again later'],
  storageFull: [452, '3.1', 'Storage is full, try again later'],
  storageStuck: [452, '3.1', 'Storage takes nothing now, try again later'],
  tooManyRecipients: [452, '5.3', 'Too many recipients'],

  malformedCommand: [500, '5.2', 'Commands are printable ASCII and end with CR LF'],
  endlessCommand: [500, '5.2', 'Command line is too long'],
  unknownCommand: [500, '5.2', 'Command not recognized'],
  helloSyntax: [501, '5.4', 'Say EHLO and your domain name or address literal'],
  mailSyntax: [501, '5.4', 'Syntax: MAIL FROM:<address> [parameters]'],
  rcptSyntax: [501, '5.4', 'Syntax: RCPT TO:<address>'],
  reversePathSyntax: [501, '1.7', 'Not a valid sender address'],
  forwardPathSyntax: [501, '1.3', 'Not a valid recipient address'],
  parameterSyntax: [501, '5.4', 'Not a valid parameter'],
  argumentMissing: [501, '5.4', 'Argument is missing'],
  argumentNotAllowed: [501, '5.4', 'This command takes no argument'],
  notImplemented: [502, '5.1', 'Command not implemented'],
  helloFirst: [503, '5.1', 'Say EHLO first'],
  mailFirst: [503, '5.1', 'MAIL first'],
  nestedMail: [503, '5.1', 'A transaction is open already'],
  notInTransaction: [503, '5.1', 'Not during a transaction'],
  tlsActive: [503, '5.1', 'TLS is active already'],
  recipientUnknown: [550, '1.1', 'No such recipient here'],
  relayDenied: [550, '7.1', 'Relaying is not allowed'],
  bareLineEnd: [550, '6.11', 'Mail data has a bare CR or LF; lines end with CR LF'],
  tooBig: [552, '3.4', 'Mail is too big'],
  noRecipients: [554, '5.1', 'No valid recipients'],
  lineTooLong: [554, '6.0', 'Mail data has a line that is too long'],
  looping: [554, '4.6', 'Too many Received fields: this mail loops'],
  parameterUnknown: [555, '5.4', 'Parameter not recognized'],
} as const satisfies Record<string, Row>;

export type ServerReplyName = keyof typeof rows;

export const serverReplyNames = Object.keys(rows) as ServerReplyName[];

/** Its code, such as 250. */
export function replyCode(name: ServerReplyName): number {
  return rows[name][0];
}

/** The reply as it is sent, with CRLF; `more` is added to its text after a space. */
export function replyText(name: ServerReplyName, more = ''): string {
  const [code, detail, text]: Row = rows[name];
  const enhanced = detail === '' ? '' : `${Math.floor(code / 100)}.${detail} `;
  return more === '' ? `${code} ${enhanced}${text}\r\n` : `${code} ${enhanced}${text} ${more}\r\n`;
}

/** "220 mx.example.com ESMTP Postrider". */
export function greetingText(hostname: string): string {
  const [code, , text]: Row = rows.ready;
  return `${code} ${hostname} ${text}\r\n`;
}

/** Reply to EHLO: our name and one line per extension (RFC 5321 §4.1.1.1). Enhanced codes are not used here (RFC 2034 §4). */
export function ehloText(hostname: string, extensions: readonly string[]): string {
  const lines = [hostname, ...extensions];
  return lines.map((line, i) => `250${i === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join('');
}
