// Names of streams and subjects, once for all services. Pure.

/** What the streams look like. `spoolSizeMax`: octets of one SPOOL or STORE stream. */
export interface Layout {
  partitions: number;
  spoolStreams: number;
  replicas: number;
  spoolSizeMax: number;
}

/** The part of the configuration of NATS that says it. */
export function layoutOf({ partitions, spoolStreams, replicas, spoolSizeMax }: Layout): Layout {
  return { partitions, spoolStreams, replicas, spoolSizeMax };
}

/** The stream that holds the packs of a partition. */
export function spoolStream(partition: number, layout: Pick<Layout, 'spoolStreams'>): string {
  return `SPOOL_${partition % layout.spoolStreams}`;
}

/** The stream that holds the single mails and the chunks of a partition. */
export function storeStream(partition: number, layout: Pick<Layout, 'spoolStreams'>): string {
  return `STORE_${partition % layout.spoolStreams}`;
}

/** Copies of records that could not be read; for an operator. */
export const QUARANTINE_STREAM = 'QUARANTINE';

/** What operators rule at run time; small. */
export const RULES_STREAM = 'RULES';

/** Which attempts may have sent their final dot, and who may let more of them do so. */
export const CHECKPOINTS_STREAM = 'CHECKPOINTS';

const numbered = (prefix: string) => {
  const known: string[] = [];
  return (n: number): string => {
    known[n] ??= `${prefix}.${n}`;
    return known[n];
  };
};

/** All subjects. Numbered ones are made once: they are used for every message. */
export const subjects = {
  spool: numbered('spool'),
  store: numbered('store'),
  settle: numbered('settle'),
  quarantine: numbered('quarantine'),
  owner: (partition: number) => `queue.${partition}.owner`,
  /** State of one mail; "*" for all of the partition. */
  mail: (partition: number, queueId: string) => `queue.${partition}.m.${queueId}`,
  deliver: numbered('deliver'),
  outcome: numbered('outcome'),
  checkpoint: numbered('checkpoint'),
  /** The last record says which owner's attempts may pass their checkpoints. */
  fence: numbered('fence'),
  inflight: numbered('inflight'),
  outcomeAck: (worker: string) => `outcome-ack.${worker}`,
  presence: (service: string) => `presence.${service}`,
  resolveRoute: 'resolve.route',
  resolveRecipient: 'resolve.recipient',
  /** Whose mail is traced; the last record has every rule. */
  traceRules: 'rules.traces',
};

/** True for a text that can stand between two dots of a subject, and means only itself there. */
export function isToken(text: string): boolean {
  return /^[^\s.*>]+$/.test(text);
}

/** True for the name of a stream that can hold mail: whatever else a record names is not there, and never will be. */
export function isMailStream(name: string): boolean {
  return /^(SPOOL|STORE)_\d{1,4}$/.test(name);
}
