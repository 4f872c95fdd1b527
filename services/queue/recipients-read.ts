// Reads the recipients of a mail out of its envelope, when there was no room for them in its pack's index.
//
// Fails: `missing` when it is gone, or names nobody; `unavailable` when it cannot be read now.
import { domainOf } from '#libs/mail/address.ts';
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Custody } from './custody.ts';
import { FrameReader } from './frames.ts';
import type { Interned } from './interned.ts';
import { recipientsOf } from './message.ts';

export interface RecipientsSource {
  direct: Pick<DirectGet, 'bySequence'>;
  interned: Interned;
  onTrouble: (reason: string) => void;
}

export async function readRecipients(
  custody: Custody,
  source: RecipientsSource,
): Promise<'read' | 'missing' | 'unavailable'> {
  const { message } = custody;
  const read = await new FrameReader(source.direct).read(message.ref);
  if (read.kind !== 'found') {
    source.onTrouble(`cannot read the envelope of ${message.queueId}: ${read.kind}`);
    return read.kind;
  }
  if (read.frame.envelope.forwardPaths.length === 0) return 'missing';
  const domains = read.frame.envelope.forwardPaths.map((path) => source.interned.text(domainOf(path)));
  // Somebody else may have read them meanwhile, and the mail may be on its way.
  if (message.recipients.length === 0) message.recipients = recipientsOf(domains);
  return 'read';
}
