// Which mails ingress makes spans of, and what the spans say when a mail is refused, with a real receiver of spans.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { IngressRig } from '#kit/ingress-rig.ts';
import { type OtlpReceiver, startOtlpReceiver } from '#kit/otlp-receiver.ts';
import { headerV2 } from '#kit/proxy-balancer.ts';
import { RawClient } from '#kit/raw-client.ts';

let rig: IngressRig;
let receiver: OtlpReceiver;
const clients: RawClient[] = [];

beforeEach(async () => {
  rig = await IngressRig.start();
  rig.resolve();
  receiver = await startOtlpReceiver();
}, 60_000);

afterEach(async () => {
  for (const one of clients.splice(0)) one.close();
  await rig.stop();
  await receiver.stop();
}, 60_000);

const mail = (from: string, to: string) => ({ from, to: [to], data: 'x\r\n' });

describe('Mail that somebody wants to see', () => {
  test('is traced at a ratio of 0, from and to named addresses and domains in any case; other mail is not', async () => {
    const telemetry = {
      otlpEndpoint: receiver.url,
      sampleRatio: 0,
      logLevel: 'silent' as const,
      alwaysSample: { addresses: ['Boss@A.example'], domains: ['watched.example'] },
    };
    const [listener] = await rig.ingress({ telemetry });
    const one = await RawClient.greeted(listener!.port!);
    clients.push(one);
    const wanted = [
      mail('BOSS@a.example', 'user@local.example'),
      mail('s@Watched.Example', 'user@local.example'),
      mail('s@a.example', 'someone@WATCHED.example'),
    ];
    const ids: string[] = [];
    await one.send(mail('other@a.example', 'user@local.example'));
    for (const each of wanted) ids.push((await one.send(each)).slice(-20));
    await one.send(mail('s@sub.watched.example', 'user@local.example'));
    await rig.stopIngress();
    const spans = await receiver.waitFor(({ length }) => length >= wanted.length);
    expect(spans.map(({ attributes }) => attributes['mail.queue_id']).sort()).toEqual(ids.sort());
  }, 30_000);

  test('is what the rule says that ingress was given', async () => {
    const telemetry = { otlpEndpoint: receiver.url, sampleRatio: 0, logLevel: 'silent' as const };
    const forcedTraces = { holds: (reversePath: string) => reversePath === '' };
    const [listener] = await rig.ingress({ telemetry }, { forcedTraces });
    const one = await RawClient.greeted(listener!.port!);
    clients.push(one);
    await one.send(mail('s@a.example', 'user@local.example'));
    const reply = await one.send(mail('', 'user@local.example'));
    await rig.stopIngress();
    const [span, ...more] = await receiver.waitFor(({ length }) => length >= 1);
    expect(more).toEqual([]);
    expect(span!.attributes['mail.queue_id']).toBe(reply.slice(-20));
  }, 30_000);
});

describe('The span of a mail', () => {
  test('tells the code of the reply that refused it, and knows the client of a balancer only by its family', async () => {
    const telemetry = { otlpEndpoint: receiver.url, sampleRatio: 1, logLevel: 'silent' as const };
    const proxyProtocol = { trusted: ['127.0.0.0/8'] };
    const [listener] = await rig.ingress({ telemetry, listeners: [{ port: 0, role: 'mx', proxyProtocol }] });
    const one = await RawClient.connect(listener!.port!);
    clients.push(one);
    one.write(headerV2('192.0.2.9'));
    await one.reply();
    await one.say('EHLO client.example');
    const reply = await one.send({ ...mail('s@a.example', 'user@local.example'), data: 'bare\nline\r\n' });
    expect(reply).toMatch(/^550 5\.6\.11 /);
    await one.say('MAIL FROM:<>', 'RCPT TO:<user@local.example>', 'DATA');
    one.close();
    const spans = await receiver.waitFor(({ length }) => length >= 2);
    const [refused, left] = spans;
    expect(refused).toMatchObject({
      statusCode: 2,
      statusMessage: 'the data was refused',
      attributes: { 'smtp.status_code': 550, 'mail.listener_role': 'mx', 'tls.protocol.version': '' },
    });
    expect(left).toMatchObject({
      statusMessage: 'the client is gone',
      attributes: { 'smtp.status_code': 0 },
    });
    expect(JSON.stringify(spans.map(({ attributes }) => attributes))).not.toMatch(/@|192\.0\.2|127\.0/);
  }, 30_000);
});
