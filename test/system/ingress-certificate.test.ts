// A certificate that is renewed under a running ingress, as Kubernetes and cert-manager do it.
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { IngressRig, until } from '#kit/ingress-rig.ts';
import { MountedSecret } from '#kit/mounted-secret.ts';
import { RawClient } from '#kit/raw-client.ts';
import { makeSelfSigned } from '#libs/tls/self-signed.ts';

const DAY_MS = 86_400_000;

let rig: IngressRig;
let secret: MountedSecret;

beforeEach(async () => {
  rig = await IngressRig.start();
  rig.resolve();
  secret = new MountedSecret(makeSelfSigned('first.test', Date.now() - 100 * DAY_MS));
}, 60_000);

afterEach(async () => {
  await rig.stop();
  secret.remove();
}, 60_000);

/** Name in the certificate that a new client sees. */
async function nameShown(port: number): Promise<string> {
  const client = await RawClient.connect(port, 'tls');
  const name = (client.socket as TLSSocket).getPeerCertificate().subject.CN as string;
  client.close();
  return name;
}

describe('A certificate in a mounted Secret', () => {
  test('is shown to new clients soon after it was renewed; those that are there stay, and the metric follows', async () => {
    const config = { listeners: [{ port: 0, tls: 'implicit' as const }], tls: secret.files };
    const [listener] = await rig.ingress(config, { certificateEveryMs: 50 });
    const port = listener!.port!;
    const early = await RawClient.greeted(port, 'tls');
    expect(await nameShown(port)).toBe('first.test');
    const secondsLeft = () => rig.metric('postrider_ingress_certificate_seconds');
    const before = await secondsLeft();
    secret.hide();
    expect(await nameShown(port)).toBe('first.test');
    secret.show();
    const { certificate } = makeSelfSigned('unfit.test');
    secret.update({ certificate, key: makeSelfSigned('other.test').key });
    expect(await nameShown(port)).toBe('first.test');
    secret.update(makeSelfSigned('second.test'));
    await until(async () => (await nameShown(port)) === 'second.test');
    expect((await secondsLeft()) - before).toBeGreaterThan((99 * DAY_MS) / 1000);
    expect(await early.send({ to: ['user@local.example'], data: 'x\r\n' })).toMatch(/^250 /);
    early.close();
  }, 30_000);
});
