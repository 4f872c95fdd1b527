import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage.close(), 60_000);

/** What was delivered, after the trace fields. */
const tail = (file: Buffer, length: number): Buffer => file.subarray(file.length - length);

describe('A mail to a local recipient', () => {
  test('lies in the Maildir octet for octet, dots and all 256 octets included', async () => {
    const head = 'Subject: all octets\r\n\r\n.\r\n..\r\n...three\r\n. a dot and a space\r\n';
    // Neither CR nor LF alone may travel (RFC 5321 §2.3.8).
    const octets = Buffer.from(Array.from({ length: 256 }, (_, i) => i).filter((i) => i !== 10 && i !== 13));
    const data = Buffer.concat([Buffer.from(head), octets, Buffer.from('\r\n')]);
    const queueId = await stage.send({ to: 'alice@local.test', reversePath: 'someone@client.test', data });
    const [file] = await stage.delivered('alice', 1);
    expect(tail(file!, data.length)).toEqual(data);
    const fields = file!.subarray(0, file!.length - data.length).toString('latin1');
    expect(fields).toMatch(/^Return-Path: <someone@client\.test>\r\n/);
    expect(fields).toContain(`id ${queueId};`);
    expect(fields.endsWith('\r\n')).toBe(true);
  });

  test('may be empty', async () => {
    await stage.send({ to: 'BOB@Local.Test', data: Buffer.alloc(0) });
    const [file] = await stage.delivered('bob', 1);
    expect(file!.toString()).toMatch(/\+0000\r\n$/);
  });
});
