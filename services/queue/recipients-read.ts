// Reads the recipients of mails out of their envelopes, when there was no room for them in the index of their packs.
//
// Fails: `missing` when the envelope is gone, or names nobody; `unavailable` when it cannot be read now.
import { domainOf } from '#libs/mail/address.ts';
import type { DirectGet } from '#libs/nats/direct-get.ts';
import type { Custody } from './custody.ts';
import { type FrameRead, readFrames } from './frames.ts';
import type { Interned } from './interned.ts';
import { recipientsOf } from './message.ts';

/** Frames that are in memory at a time; each names thousands. */
const TOGETHER = 32;
const READ_WITHIN_MS = 10_000;

export type RecipientsRead = 'read' | 'missing' | 'unavailable';

export interface RecipientsSource {
  direct: Pick<DirectGet, 'bySequence'>;
  interned: Interned;
  onTrouble: (reason: string) => void;
}

export async function readRecipients(custody: Custody, source: RecipientsSource): Promise<RecipientsRead> {
  const [read] = await readFrames(source.direct, [custody.message.ref], READ_WITHIN_MS);
  return takeRecipients(custody, read!, source);
}

/** Those of all these mails, a few at a time, and no longer than one of them may take. Returns mails that could not be read now. */
export async function readAllRecipients(
  custodies: readonly Custody[],
  source: RecipientsSource & { onMissing?: (custody: Custody) => void },
): Promise<Custody[]> {
  const untilMs = performance.now() + READ_WITHIN_MS;
  const left: Custody[] = [];
  for (let from = 0; from < custodies.length; from += TOGETHER) {
    const some = custodies.slice(from, from + TOGETHER);
    const refs = some.map(({ message }) => message.ref);
    const frames = await readFrames(source.direct, refs, untilMs - performance.now());
    for (const [i, custody] of some.entries()) {
      const read = takeRecipients(custody, frames[i]!, source);
      if (read === 'unavailable') left.push(custody);
      else if (read === 'missing') source.onMissing?.(custody);
    }
  }
  return left;
}

function takeRecipients({ message }: Custody, read: FrameRead, source: RecipientsSource): RecipientsRead {
  if (read.kind !== 'found') {
    source.onTrouble(`cannot read the envelope of ${message.queueId}: ${read.kind}`);
    return read.kind;
  }
  const { forwardPaths } = read.frame.envelope;
  if (forwardPaths.length === 0) return 'missing';
  const domains = forwardPaths.map((path) => source.interned.text(domainOf(path)));
  // Somebody else may have read them meanwhile, and the mail may be on its way.
  if (message.recipients.length === 0) message.recipients = recipientsOf(domains);
  return 'read';
}
