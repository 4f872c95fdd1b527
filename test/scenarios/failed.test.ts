import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
}, 60_000);
afterAll(() => stage.close(), 60_000);

describe('A mail that its host refuses', () => {
  test('is reported to its sender, with the reply and the header section', async () => {
    const data = Buffer.from('Subject: will fail\r\nX-Mark: 42\r\n\r\nnot in the report\r\n');
    await stage.send({ to: '550@sink.test', reversePath: 'alice@local.test', data });
    const [report] = await stage.delivered('alice', 1);
    const text = report!.toString('latin1');
    expect(text).toMatch(/^Return-Path: <>\r\n/);
    expect(text).toContain('Content-Type: multipart/report; report-type=delivery-status');
    expect(text).toContain('Final-Recipient: rfc822; 550@sink.test\r\n');
    expect(text).toContain('Action: failed\r\n');
    expect(text).toMatch(/\r\nStatus: 5\.1\.1\r\n/);
    expect(text).toMatch(/\r\nDiagnostic-Code: smtp; 550 5\.1\.1 no, as asked/);
    expect(text).toContain('X-Mark: 42\r\n');
    expect(text).not.toContain('not in the report');
    await stage.settled();
  });

  test('is reported once for all of its recipients at that host, and goes to the others', async () => {
    await stage.send({
      to: ['551@sink.test', 'good@sink.test', '553@sink.test'],
      reversePath: 'bob@local.test',
    });
    const [mail] = await stage.relayed(1);
    expect(mail!.forwardPaths).toEqual(['good@sink.test']);
    const [report] = await stage.delivered('bob', 1);
    const failed = [...report!.toString('latin1').matchAll(/^Final-Recipient: rfc822; (\S+)\r$/gm)];
    expect(failed.map((match) => match[1])).toEqual(['551@sink.test', '553@sink.test']);
    await stage.settled();
    expect(stage.maildir('bob')).toHaveLength(1);
  });
});
