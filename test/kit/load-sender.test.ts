// The load tools against each other: whatever is sent arrives once and is accounted for.
import { describe, expect, test } from '@jest/globals';
import { stuffed } from './load-client.ts';
import { LoadSender } from './load-sender.ts';
import { LoadSink } from './load-sink-process.ts';
import { startSmtpSink } from './smtp-sink.ts';

describe('the load sender', () => {
  test('accounts for every mail at the load sink', async () => {
    const sink = await LoadSink.start();
    try {
      const ports = [sink.port];
      const sender = new LoadSender({
        ports,
        sessions: 5,
        mails: 200,
        octets: 3000,
        tokenPrefix: 't',
        forwardPath: (mail) => `r${mail}@sink.test`,
      });
      await sender.run();
      expect(sender.accepted.size).toBe(200);
      expect(await sink.ask('taken')).toBe(200);
      const arrivals = await sink.ask('arrivals');
      expect(arrivals.every((one) => one.times === 1 && sender.accepted.has(one.token))).toBe(true);
      expect(await sink.ask('latencies')).toHaveLength(200);
      expect(await sink.ask('latencies')).toHaveLength(0);
    } finally {
      await sink.stop();
    }
  });

  test('does not count a recipient as accepted that was refused, though the mail was taken', async () => {
    const sink = await LoadSink.start({ scripted: { slowAfterMs: 0 } });
    try {
      const sender = new LoadSender({
        ports: [sink.port],
        sessions: 1,
        mails: 1,
        octets: 100,
        tokenPrefix: 't',
        forwardPath: () => ['grey@sink.test', 'a@sink.test', 'b@sink.test'],
      });
      await sender.run();
      expect([...sender.accepted.keys()]).toEqual(['t-0']);
      expect(sender.several.get('t-0')).toEqual(['a@sink.test', 'b@sink.test']);
    } finally {
      await sink.stop();
    }
  });

  test('sends again under a new token when the reply to the dot is lost', async () => {
    const sink = await startSmtpSink();
    try {
      const sender = new LoadSender({
        ports: [sink.port],
        sessions: 1,
        mails: 1,
        octets: 100,
        tokenPrefix: 't',
        forwardPath: () => 'drop-once-after-dot@sink.test',
      });
      await sender.run();
      expect([...sender.unknown]).toEqual(['t-0']);
      expect([...sender.accepted.keys()]).toEqual(['t-1']);
      expect(sink.taken).toBe(2);
    } finally {
      await sink.close();
    }
  });
});

describe('stuffing', () => {
  test.each([
    ['a line\r\n', 'a line\r\n.\r\n'],
    ['.\r\n..\r\nx.\r\n', '..\r\n...\r\nx.\r\n.\r\n'],
    ['', '.\r\n'],
  ])('makes %j travel as %j', (data, wire) => {
    expect(stuffed(Buffer.from(data)).toString()).toBe(wire);
  });
});
