// An SMTP reply as a value: ours to a client, or another host's to us.

/** `code` 200-599; `enhanced` such as "5.1.1" (RFC 3463), '' when there is none; `text` without line ends. */
export interface SmtpReply {
  code: number;
  enhanced: string;
  text: string;
}
