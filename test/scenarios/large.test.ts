import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open({ config: { limits: { messageSizeMax: '12 MiB' } } });
}, 60_000);
afterAll(() => stage.close(), 60_000);

/** So many octets, no two lines the same; every hundredth starts with a dot. */
function bigMail(octets: number): Buffer {
  const lines: string[] = ['Subject: big\r\n\r\n'];
  for (let size = 0, i = 0; size < octets; i += 1) {
    const line = `${i % 100 === 0 ? '.' : ''}${i} ${'x'.repeat(60)}\r\n`;
    size += line.length;
    lines.push(line);
  }
  return Buffer.from(lines.join(''));
}

const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

describe('A mail of 10 MB', () => {
  const data = bigMail(10_000_000);

  test('is relayed as it was sent', async () => {
    await stage.send({ to: 'big@sink.test', data });
    const [mail] = await stage.relayed(1, 30_000);
    expect(digest(mail!.data.subarray(mail!.data.length - data.length))).toBe(digest(data));
  }, 60_000);

  test('survives a deferral', async () => {
    await stage.send({ to: '450-then-250@sink.test', data });
    const mails = await stage.relayed(2, 30_000);
    const [, mail] = mails;
    expect(digest(mail!.data.subarray(mail!.data.length - data.length))).toBe(digest(data));
    await stage.settled();
  }, 60_000);
});

describe('A mail over the limit', () => {
  test('is refused for good, and the session goes on', async () => {
    const client = await stage.client();
    const mail = { reversePath: 'a@client.test', forwardPaths: ['b@sink.test'] };
    expect((await client.send({ ...mail, data: bigMail(13_000_000) })).last.text).toMatch(/^552 5\.3\.4 /);
    expect((await client.send({ ...mail, data: bigMail(100) })).last.code).toBe(250);
    await client.quit();
  }, 60_000);
});
