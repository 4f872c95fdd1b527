import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open({ sink: { tls: 'on' } });
}, 60_000);
afterAll(() => stage.close(), 60_000);

const MAIL = { reversePath: 'a@client.test', data: Buffer.from('Subject: tls\r\n\r\nx\r\n') };

describe('TLS', () => {
  test('is used from the client and to the host, and the Received field says so', async () => {
    const client = await stage.client();
    expect((await client.startTls()).code).toBe(220);
    expect((await client.command('EHLO client.test')).text).not.toContain('STARTTLS');
    expect((await client.send({ ...MAIL, forwardPaths: ['one@sink.test'] })).last.code).toBe(250);
    await client.quit();
    const [mail] = await stage.relayed(1);
    expect(mail!.tls).toMatch(/^TLSv1\.[23]$/);
    expect(mail!.data.toString()).toContain('with ESMTPS');
  });

  test('from the start of the connection is taken at a listener for it', async () => {
    await stage.send({ ...MAIL, to: 'two@sink.test', listener: 'submission' });
    const mails = await stage.relayed(2);
    expect(mails[1]!.data.toString()).toContain('with ESMTPS');
  });
});
