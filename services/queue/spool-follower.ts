// Follows the packs of one partition. When their stream began anew (somebody deleted it, its disk is another one), what only it had is
// lost: it is told, and the partition is to be loaded again, since numbers of packs may mean others now.
//
// Fails: as a Follower does.
import { subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { Follower, type StoredRecord } from '#libs/nats/reading.ts';
import type { Mails } from './mails.ts';

export interface SpoolFollowerOptions {
  link: Link;
  owner: { readonly number: number; readonly mails: Pick<Mails, 'all'> };
  stream: string;
  fromSequence: number;
  onPack: (record: StoredRecord) => void;
  onContentLost: (queueId: string, what: string) => void;
  /** The partition cannot go on as it is. */
  onAnew: (reason: string) => void;
}

export function spoolFollower(options: SpoolFollowerOptions): Follower {
  const { link, owner, stream, fromSequence, onPack, onAnew } = options;
  const query = { stream, subject: subjects.spool(owner.number), headersOnly: true, fromSequence };
  return new Follower(link, query, onPack, () => {
    tellLost(options);
    onAnew(`${stream} began anew`);
  });
}

function tellLost({ stream, owner, onContentLost }: SpoolFollowerOptions): void {
  for (const { message, isStored, copy } of owner.mails.all()) {
    if (!isStored && copy === undefined) onContentLost(message.queueId, `${stream} began anew`);
  }
}
