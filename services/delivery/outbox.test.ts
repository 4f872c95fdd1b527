import { describe, expect, test } from '@jest/globals';
import { subjects } from '#libs/nats/layout.ts';
import { type Outcome, OutcomeBatch, OutcomeKind } from '#proto/postrider/v1/job.ts';
import { Departure } from './departure.ts';
import { Outbox } from './outbox.actor.ts';

function outbox() {
  const sent: { subject: string; batch: OutcomeBatch; octets: number }[] = [];
  const publish = (subject: string, payload: Uint8Array) => {
    sent.push({ subject, batch: OutcomeBatch.decode(payload), octets: payload.length });
    return true;
  };
  const departure = new Departure();
  const link = { instance: 'worker', publish, payloadMax: 1024 * 1024 };
  return { sent, link, departure, outbox: new Outbox(link, departure) };
}

function outcome(attemptId: string, recipients = 0): Outcome {
  const each = Array.from({ length: recipients }, (_, recipient) => ({
    recipient,
    kind: OutcomeKind.RELAYED,
    reply: undefined,
  }));
  return {
    attemptId,
    queueId: 'q',
    kind: OutcomeKind.RELAYED,
    reply: undefined,
    recipients: each,
    tls: '',
    jobRecipients: [],
  };
}

describe('the outbox', () => {
  test.each([
    ['half of a pair', 'a\ud800b', 'a\ufffdb'],
    ['nothing but zeros', '\0\0', '\0\0'],
    ['octets of no charset', '\xff\xfe\x80', '\xff\xfe\x80'],
    ['characters of four octets', '\u{1f4e7}', '\u{1f4e7}'],
  ])(
    'says words of hosts so that an owner can read them and what stands beside them (%s)',
    async (_, text, read) => {
      const { sent, outbox: box } = outbox();
      const reply = { code: 250, enhanced: text, text, host: text };
      box.outcome(1, { ...outcome('a', 1), reply, tls: text });
      box.outcome(1, outcome('b'));
      box.site(1, { siteKey: text, window: 1, suspendedUntilMs: 0, suspendedForMs: 1, reason: reply });
      await new Promise((turn) => setImmediate(turn));
      const { outcomes, sites } = sent[0]!.batch;
      expect(outcomes.map(({ attemptId, reply: said }) => [attemptId, said?.text])).toEqual([
        ['a', read],
        ['b', undefined],
      ]);
      expect(sites[0]).toMatchObject({ siteKey: read, reason: { host: read } });
    },
  );

  test('sends one message for each partition and turn', async () => {
    const { sent, outbox: box } = outbox();
    box.accepted(1, 'a');
    box.outcome(1, outcome('b'));
    box.site(1, { siteKey: 's', window: 64, suspendedUntilMs: 0, reason: undefined });
    box.accepted(2, 'c');
    expect(sent).toEqual([]);
    await new Promise((turn) => setImmediate(turn));
    expect(sent.map(({ subject }) => subject)).toEqual([subjects.outcome(1), subjects.outcome(2)]);
    expect(sent[0]!.batch).toMatchObject({
      worker: 'worker',
      accepted: ['a'],
      outcomes: [{ attemptId: 'b' }],
      sites: [{ siteKey: 's', window: 64 }],
    });
    box.accepted(1, 'd');
    await new Promise((turn) => setImmediate(turn));
    expect(sent.at(-1)!.batch).toMatchObject({ accepted: ['d'], outcomes: [] });
  });

  test('begins another message when the next outcome has no room in one', () => {
    const { sent, departure, outbox: box } = outbox();
    for (let i = 0; i < 5; i++) box.outcome(1, outcome(`${i}`, 8000));
    box.accepted(1, 'a');
    departure.flushNow();
    expect(sent.map(({ batch }) => batch.outcomes.map(({ attemptId }) => attemptId))).toEqual([
      ['0', '1'],
      ['2', '3'],
      ['4'],
    ]);
    expect(sent[2]!.batch.accepted).toEqual(['a']);
    for (const { octets } of sent) expect(octets).toBeLessThan(256 * 1024);
  });

  test('keeps messages bounded whatever is said in them: accepted attempts, long words, sites', () => {
    const { sent, departure, outbox: box } = outbox();
    const reply = { code: 451, enhanced: '4.7.1', text: 'x'.repeat(500), host: 'mx' };
    for (let i = 0; i < 20_000; i++) box.accepted(1, `00abcdefghijklmnopqr.${i}.zz`);
    for (let i = 0; i < 2000; i++) box.outcome(1, { ...outcome(`${i}`), reply });
    for (let i = 0; i < 2000; i++) {
      box.site(1, { siteKey: `smtp:${i}.example:25`, window: 1, suspendedUntilMs: 0, reason: reply });
    }
    departure.flushNow();
    for (const { octets } of sent) expect(octets).toBeLessThanOrEqual(256 * 1024);
    expect(sent.flatMap(({ batch }) => batch.accepted)).toHaveLength(20_000);
    expect(sent.flatMap(({ batch }) => batch.outcomes)).toHaveLength(2000);
    expect(sent.flatMap(({ batch }) => batch.sites)).toHaveLength(2000);
  });

  test('fits an outcome anew when the server takes less than when the attempt ended', () => {
    const { sent, link, departure, outbox: box } = outbox();
    link.payloadMax = 256 * 1024;
    const words = { code: 550, enhanced: '5.1.1', text: 'x'.repeat(400), host: 'mx' };
    const long = outcome('a', 2000);
    for (const one of long.recipients) one.reply = { ...words };
    box.outcome(1, long);
    departure.flushNow();
    expect(sent).toHaveLength(1);
    expect(sent[0]!.octets).toBeLessThan(256 * 1024);
  });
});
