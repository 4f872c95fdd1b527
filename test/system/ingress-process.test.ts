// The ingress process as an operator runs it: configuration file, ready line, signals; and the span of a mail.
import { type ChildProcess, fork } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { IngressRig } from '#kit/ingress-rig.ts';
import { startOtlpReceiver } from '#kit/otlp-receiver.ts';
import { RawClient } from '#kit/raw-client.ts';
import { makeSelfSigned } from '#libs/tls/self-signed.ts';
import type { ListenerReady } from '../../services/ingress/listener.actor.ts';

const MAIN = fileURLToPath(new URL('../../services/ingress/main.ts', import.meta.url));

let rig: IngressRig;
let child: ChildProcess | undefined;

beforeEach(async () => {
  rig = await IngressRig.start();
  rig.resolve();
}, 60_000);

afterEach(async () => {
  child?.kill('SIGKILL');
  await rig.stop();
}, 60_000);

interface Started {
  listeners: ListenerReady[];
  exited: Promise<number | null>;
  /** Resolves when it has logged this. */
  logged: (words: string) => Promise<void>;
}

async function startProcess(more = ''): Promise<Started> {
  const config = rig.file('postrider.yaml');
  writeFileSync(
    config,
    `hostname: mx.test
listeners:
  - {port: 0, role: relay, tls: implicit}
tls: {certificate: ${rig.file('certificate.pem')}, key: ${rig.file('key.pem')}}
nats: {url: "${rig.nats.url}", partitions: 8, spoolSizeMax: 1 GiB}
${more}`,
  );
  const made = fork(MAIN, ['--config', config], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], execArgv: [] });
  child = made;
  let log = '';
  for (const stream of [made.stdout!, made.stderr!]) {
    stream.on('data', (chunk) => {
      log += String(chunk);
    });
  }
  const exited = new Promise<number | null>((done) => made.once('exit', done));
  const listeners = await new Promise<ListenerReady[]>((resolve, reject) => {
    made.once('message', (message: { ready: { listeners: ListenerReady[] } }) => {
      resolve(message.ready.listeners);
    });
    made.once('exit', (code) => reject(new Error(`ended with ${code}: ${log}`)));
  });
  const logged = async (words: string) => {
    while (!log.includes(words)) await new Promise((done) => made.stdout!.once('data', done));
  };
  return { listeners, exited, logged };
}

function certificateOf(client: RawClient): string {
  return (client.socket as import('node:tls').TLSSocket).getPeerCertificate().subject.CN as string;
}

describe('The ingress process', () => {
  test('tells its real ports, stops by SIGTERM and ends with 0', async () => {
    const { listeners, exited } = await startProcess();
    expect(listeners).toEqual([
      { address: '127.0.0.1', port: expect.any(Number), role: 'relay', tls: 'implicit' },
    ]);
    const client = await RawClient.greeted(listeners[0]!.port!, 'tls');
    expect(await client.send({ to: ['user@local.example'], data: 'x\r\n' })).toMatch(/^250 /);
    child!.kill('SIGTERM');
    expect(await client.ended()).toMatch(/^421 /);
    expect(await exited).toBe(0);
    expect(await rig.mails()).toHaveLength(1);
  }, 60_000);

  test('shows a new certificate after SIGHUP, and the old one when the new one is no good', async () => {
    const { listeners, logged } = await startProcess();
    const port = listeners[0]!.port!;
    const before = await RawClient.greeted(port, 'tls');
    expect(certificateOf(before)).toBe('localhost');
    const { certificate, key } = makeSelfSigned('new.test');
    writeFileSync(rig.file('certificate.pem'), certificate);
    child!.kill('SIGHUP');
    await logged('the certificate stays as it was');
    writeFileSync(rig.file('key.pem'), key);
    child!.kill('SIGHUP');
    await logged('certificate read again');
    const after = await RawClient.greeted(port, 'tls');
    expect(certificateOf(after)).toBe('new.test');
    for (const client of [before, after]) client.close();
  }, 60_000);

  test('does not start without its certificate, and names key and file', async () => {
    writeFileSync(rig.file('key.pem'), 'no key');
    await expect(startProcess()).rejects.toThrow(/tls\.key: \S+key\.pem: expected a PEM private key/);
    rmSync(rig.file('certificate.pem'));
    await expect(startProcess()).rejects.toThrow(
      /tls\.certificate: \S+certificate\.pem: cannot be read \(ENOENT\)/,
    );
  }, 60_000);

  test('makes a span of a mail, which its pack and its envelope carry on', async () => {
    const receiver = await startOtlpReceiver();
    const telemetry = `telemetry: {otlpEndpoint: "${receiver.url}", sampleRatio: 1, logLevel: debug}\n`;
    const { listeners, exited, logged } = await startProcess(telemetry);
    const client = await RawClient.greeted(listeners[0]!.port!, 'tls');
    const reply = await client.send({ to: ['user@local.example'], data: 'hello\r\n' });
    child!.kill('SIGTERM');
    await exited;
    await logged(`"queue_id":"${reply.slice(-20)}","size":7,"recipients":1`);
    const [span] = await receiver.waitFor(({ length }) => length >= 1);
    await receiver.stop();
    expect(span).toMatchObject({
      service: 'postrider-ingress',
      name: 'smtp accept',
      parentSpanId: '',
      kind: 2,
      attributes: {
        'mail.queue_id': reply.slice(-20),
        'mail.size': 7,
        'mail.recipients': 1,
        'mail.source_domain': 'a.example',
        'mail.listener_role': 'relay',
        'mail.commit_ms': expect.any(Number),
        'network.type': 'ipv4',
        'smtp.status_code': 250,
        'tls.protocol.version': 'TLSv1.3',
      },
    });
    expect(JSON.stringify(span!.attributes)).not.toMatch(/user|@/);
    const [mail] = await rig.mails();
    const { traceId, spanId } = span!;
    expect(mail!.pack.header('traceparent')).toBe(`00-${traceId}-${spanId}-01`);
    for (const trace of [mail!.envelope.trace, mail!.entry.trace]) {
      expect([trace!.traceId.toString('hex'), trace!.spanId.toString('hex')]).toEqual([traceId, spanId]);
    }
  }, 60_000);
});
