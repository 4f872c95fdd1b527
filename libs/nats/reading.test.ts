import { describe, expect, test } from '@jest/globals';
import type { Answer, IncomingRecord } from './link.ts';
import { type ReadingLink, readAll } from './reading.ts';

const NOTHING = new Uint8Array(0);
const QUERY = { stream: 'S', subject: 's.1' };

/** A link to a JetStream whose consumers are told, one after the other, what they push. */
class ScriptedLink implements ReadingLink {
  readonly instance = 'test';
  readonly inbox = '_INBOX.test';
  readonly connected = true;
  /** From which sequences consumers were asked to start. */
  readonly starts: number[] = [];
  readonly #lives: ((push: Push) => number)[];
  /** Sequence of the leader's last record; 0 for none. */
  readonly #last: number;

  constructor(lives: ((push: Push) => number)[], last = 0) {
    this.#lives = [...lives];
    this.#last = last;
  }

  #hear: (record: IncomingRecord) => void = () => {};

  publish(): boolean {
    return true;
  }

  subscribeRecords(_subject: string, onRecord: (record: IncomingRecord) => void) {
    this.#hear = onRecord;
    return { unsubscribe: () => {}, drain: async () => {} };
  }

  async request(subject: string, payload: Uint8Array): Promise<Answer> {
    if (subject === '$JS.API.STREAM.MSG.GET.S') return { kind: 'answer', data: this.#lastRecord() };
    if (!subject.includes('CONSUMER.CREATE')) return { kind: 'nobody' };
    const asked = JSON.parse(Buffer.from(payload).toString()) as { config: { opt_start_seq: number } };
    this.starts.push(asked.config.opt_start_seq);
    const pending = this.#lives.shift()!(new Push(this.#hear));
    return {
      kind: 'answer',
      data: Buffer.from(JSON.stringify({ num_pending: pending })),
    };
  }

  #lastRecord(): Buffer {
    const none = { error: { code: 404, err_code: 10037 } };
    const found = { message: { seq: this.#last, subject: 's.1' } };
    return Buffer.from(JSON.stringify(this.#last === 0 ? none : found));
  }
}

class Push {
  readonly #hear: (record: IncomingRecord) => void;
  #delivered = 0;

  constructor(hear: (record: IncomingRecord) => void) {
    this.#hear = hear;
  }

  /** After the answer of CREATE. */
  later(...acts: (() => void)[]): void {
    for (const act of acts) setImmediate(act);
  }

  record(sequence: number, pending: number): void {
    this.#delivered += 1;
    const reply = `$JS.ACK.S.c.1.${sequence}.${this.#delivered}.0.${pending}`;
    this.#hear({ subject: 's.1', data: NOTHING, reply, status: 0, header: () => undefined });
  }

  idle(): void {
    const header = (name: string) => (name === 'Nats-Last-Consumer' ? String(this.#delivered) : undefined);
    this.#hear({ subject: '', data: NOTHING, reply: '', status: 100, header });
  }
}

async function read(link: ScriptedLink): Promise<number[]> {
  const sequences: number[] = [];
  await readAll(link, QUERY, (record) => sequences.push(record.sequence));
  return sequences;
}

describe('readAll', () => {
  test('goes on when the server is idle while records wait', async () => {
    const link = new ScriptedLink([
      (push) => {
        push.later(
          () => push.idle(),
          () => push.record(3, 1),
          () => push.idle(),
          () => push.record(7, 0),
        );
        return 2;
      },
    ]);
    expect(await read(link)).toEqual([3, 7]);
  });

  test('is done at once when there is nothing', async () => {
    expect(await read(new ScriptedLink([() => 0]))).toEqual([]);
  });

  test('asks again, behind what it has, when records went away while it read', async () => {
    const link = new ScriptedLink([
      (push) => {
        push.later(() => push.record(3, 4), ...Array.from({ length: 5 }, () => () => push.idle()));
        return 5;
      },
      () => 0,
    ]);
    expect(await read(link)).toEqual([3]);
    expect(link.starts).toEqual([1, 4]);
  });

  test('reads on when a copy that lags behind has nothing left before the last record', async () => {
    const lives = [
      () => 0,
      (push: Push) => {
        push.later(() => push.record(3, 0));
        return 1;
      },
      (push: Push) => {
        push.later(() => push.record(7, 0));
        return 1;
      },
    ];
    const link = new ScriptedLink(lives, 7);
    expect(await read(link)).toEqual([3, 7]);
    expect(link.starts).toEqual([1, 1, 4]);
  });

  test('hears nothing twice when such a copy starts before what was asked for', async () => {
    const lives = [
      (push: Push) => {
        push.later(() => push.record(3, 0));
        return 1;
      },
      (push: Push) => {
        push.later(
          () => push.record(2, 2),
          () => push.record(3, 1),
          () => push.record(4, 0),
        );
        return 3;
      },
    ];
    expect(await read(new ScriptedLink(lives, 4))).toEqual([3, 4]);
  });
});
