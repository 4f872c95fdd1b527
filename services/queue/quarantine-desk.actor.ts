// Shows the operator what is in quarantine, and drops what is not needed any more. Counts it, for who watches.
//
// Fails: throws when JetStream does not answer.
import { callApi } from '#libs/nats/api.ts';
import type { DirectGet, StoredRecord } from '#libs/nats/direct-get.ts';
import { QUARANTINE_STREAM } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { readAll } from '#libs/nats/reading.ts';
import { remove } from '#libs/nats/trimming.ts';
import type { QuarantineAdminCalls } from '#libs/rpc/quarantine-admin.ts';
import type { AsideRecord } from '#proto/postrider/v1/admin.ts';
import { ASIDE } from './quarantine.actor.ts';

const COUNT_EVERY_MS = 15_000;
const COUNT_WAIT_MS = 5000;

export class QuarantineDesk implements QuarantineAdminCalls {
  readonly #link: Link;
  readonly #direct: DirectGet;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ link, direct }: { link: Link; direct: DirectGet }) {
    this.#link = link;
    this.#direct = direct;
  }

  /** Records that were there a moment ago. */
  get count(): number {
    return this.#count;
  }

  /** Begins to count. */
  start(): void {
    void this.#look();
    this.#timer = setInterval(() => void this.#look(), COUNT_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const call = `STREAM.INFO.${QUARANTINE_STREAM}`;
    const info = await callApi<{ state: { messages: number } }>(this.#link, call, undefined, COUNT_WAIT_MS);
    if (info.kind === 'ok') this.#count = info.value.state.messages;
  }

  async list(): Promise<AsideRecord[]> {
    const records: AsideRecord[] = [];
    const query = { stream: QUARANTINE_STREAM, subject: 'quarantine.*', headersOnly: true };
    await readAll(this.#link, query, (record) => {
      records.push(asideOf(record, numberIn(record.header('Nats-Msg-Size'))));
    });
    return records;
  }

  async show(number: number): Promise<AsideRecord | undefined> {
    const got = await this.#direct.bySequence(QUARANTINE_STREAM, number);
    if (got.kind === 'unavailable') throw new Error('JetStream does not answer');
    if (got.kind === 'missing') return undefined;
    const { data } = got.record;
    return { ...asideOf(got.record, data.length), data: Buffer.from(data) };
  }

  async drop(number: number): Promise<boolean> {
    if ((await this.show(number)) === undefined) return false;
    const removed = await remove(this.#link, QUARANTINE_STREAM, number);
    if (removed.kind === 'done') return true;
    throw new Error(removed.kind === 'refused' ? removed.reason : 'JetStream does not answer');
  }
}

function asideOf(record: StoredRecord, size: number): AsideRecord {
  const header = (name: string) => record.header(name) ?? '';
  return {
    number: record.sequence,
    stream: header(ASIDE.stream),
    sequence: numberIn(header(ASIDE.sequence)),
    subject: header(ASIDE.subject),
    why: header(ASIDE.why),
    asideAtMs: numberIn(header(ASIDE.atMs)),
    size,
    data: Buffer.alloc(0),
  };
}

/** Somebody else may have put a record here, with whatever headers; 0 for what is no number. */
function numberIn(header: string | undefined): number {
  const number = Number(header ?? '');
  return Number.isSafeInteger(number) && number > 0 ? number : 0;
}
