// The machine's clock is set while ingress and resolver run: nobody is sent away for it, nothing is refused, and what is kept ages as before.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { startDnsServer } from '#kit/dns-server.ts';
import { IngressRig, until } from '#kit/ingress-rig.ts';
import { RawClient } from '#kit/raw-client.ts';
import { configSchema } from '#libs/config/schema.ts';
import { subjects } from '#libs/nats/layout.ts';
import { startTelemetry } from '#libs/telemetry/telemetry.ts';
import { RouteAnswer, RouteRequest } from '#proto/postrider/v1/route.ts';
import { Resolver } from '../../services/resolver/resolver.actor.ts';

const DAY_MS = 86_400_000;
const ends: (() => unknown)[] = [];
const realNow = Date.now;
let shiftMs = 0;

beforeEach(() => {
  shiftMs = 0;
  jest.spyOn(Date, 'now').mockImplementation(() => realNow() + shiftMs);
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const end of ends.splice(0).reverse()) await end();
}, 60_000);

describe('A clock that is set', () => {
  test.each([DAY_MS, -DAY_MS])(
    'by %d ms ends no session, and mail says the new time',
    async (byMs) => {
      const rig = await IngressRig.start();
      ends.push(() => rig.stop());
      rig.resolve();
      const [listener] = await rig.ingress();
      const client = await RawClient.greeted(listener!.port!);
      ends.push(() => client.close());
      await client.say('NOOP');
      shiftMs = byMs;
      // Two sweeps of the sessions later.
      for (const accepted of [2, 3]) {
        const other = await RawClient.greeted(listener!.port!);
        ends.push(() => other.close());
        await other.say('NOOP');
        await until(async () => (await rig.metric('postrider_ingress_sessions_accepted_total')) >= accepted);
      }
      expect(await client.send({ to: ['user@local.example'], data: 'x\r\n' })).toMatch(/^250 /);
      const [mail] = await rig.mails();
      expect(Math.abs(mail!.envelope.acceptedAtMs - Date.now())).toBeLessThan(60_000);
    },
    60_000,
  );

  test('back by a day makes the resolver keep nothing for longer', async () => {
    const rig = await IngressRig.start();
    ends.push(() => rig.stop());
    const dns = await startDnsServer({
      'a.test': { MX: ['10 mx.test'], ttl: 1 },
      'mx.test': { A: ['192.0.2.1'], ttl: 1 },
    });
    ends.push(() => dns.close());
    const config = configSchema.parse({
      hostname: 'us.test',
      telemetry: { logLevel: 'silent' },
      dns: { servers: [dns.address] },
    });
    const telemetry = await startTelemetry(config, { name: 'resolver', instance: 'r' });
    ends.push(() => telemetry.stop());
    const resolver = new Resolver({ config, telemetry, link: rig.link });
    resolver.start();
    ends.push(() => resolver.stop());
    const ask = async () => {
      const request = RouteRequest.encode({ domains: ['a.test'], trace: undefined }).finish();
      const answer = await rig.link.request(subjects.resolveRoute, request, 5000);
      return answer.kind === 'answer'
        ? RouteAnswer.decode(answer.data).routes[0]!.result?.$case
        : answer.kind;
    };
    expect(await ask()).toBe('site');
    const asked = dns.questions.length;
    shiftMs = -DAY_MS;
    await until(async () => (await ask()) === 'site' && dns.questions.length > asked);
  }, 60_000);
});
