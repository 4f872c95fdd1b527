// Ingress on servers that take messages of different sizes: packs and chunks obey what the server takes, and a mail is judged by its own
// size only.
import { afterEach, describe, expect, test } from '@jest/globals';
import { IngressRig } from '#kit/ingress-rig.ts';
import { RawClient } from '#kit/raw-client.ts';

const MINUTE = 60_000;
const KIB = 1024;
const SIZES = [256, 1024, 8 * 1024] as const;
const to = ['user@local.example'];

let rig: IngressRig | undefined;
const clients: RawClient[] = [];

afterEach(async () => {
  for (const one of clients.splice(0)) one.close();
  await rig?.stop();
  rig = undefined;
}, MINUTE);

async function bench(kib: number): Promise<{ rig: IngressRig; port: number }> {
  rig = await IngressRig.start({ payloadMax: kib * KIB });
  rig.resolve();
  const [listener] = await rig.ingress({ limits: { recipientsMax: 50_000 } });
  return { rig, port: listener!.port! };
}

async function client(port: number): Promise<RawClient> {
  const made = await RawClient.greeted(port);
  clients.push(made);
  return made;
}

const dataOf = (octets: number) =>
  'x'
    .repeat(70)
    .concat('\r\n')
    .repeat(Math.ceil(octets / 72));

/** Sends mails of this size, one after the other over each of so many connections; how often each reply came. */
async function flood(
  port: number,
  { connections, mails, octets }: Record<'connections' | 'mails' | 'octets', number>,
) {
  const codes = new Map<string, number>();
  const data = dataOf(octets);
  const one = async () => {
    const wire = await client(port);
    for (let i = 0; i < mails; i++) {
      const code = (await wire.send({ to, data })).slice(0, 3);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  return Object.fromEntries(codes);
}

describe.each(SIZES)('On a server that takes %d KiB', (kib) => {
  test(
    'small mails are accepted, however many come at once',
    async () => {
      const { rig: ingress, port } = await bench(kib);
      expect(await flood(port, { connections: 20, mails: 4, octets: 60 * KIB })).toEqual({ 250: 80 });
      expect(await ingress.mails()).toHaveLength(80);
    },
    MINUTE,
  );

  test(
    'mail of any size comes whole, in a pack or in chunks',
    async () => {
      const { rig: ingress, port } = await bench(kib);
      const wire = await client(port);
      const sizes = [kib - 70, kib - 60, kib - 1, kib, kib + 1, 520, 3000].map((size) => size * KIB);
      const sent = sizes.filter((octets) => octets < 9000 * KIB).map(dataOf);
      for (const data of sent) expect(await wire.send({ to, data })).toMatch(/^250 /);
      const mails = await ingress.mails();
      expect(mails.map(({ data }) => data.length)).toEqual(sent.map((data) => data.length));
    },
    MINUTE,
  );

  test(
    'a mail has as many recipients as can be stored with it; the others are for another one',
    async () => {
      const { rig: ingress, port } = await bench(kib);
      const wire = await client(port);
      await wire.say('MAIL FROM:<s@a.example>');
      const paths = Array.from({ length: 50_000 }, (_, i) => `user-${i}@mail-${i % 50}.elsewhere.example`);
      let accepted = 0;
      for (let from = 0; from < paths.length; from += 1000) {
        const some = paths.slice(from, from + 1000).map((path) => `RCPT TO:<${path}>`);
        const replies = (await wire.say(...some)).split('\n');
        const refused = replies.filter((reply) => !reply.startsWith('250'));
        accepted += replies.length - refused.length;
        for (const reply of refused) expect(reply).toMatch(/^452 4\.5\.3 /);
        if (refused.length > 0) break;
      }
      expect(accepted).toBeGreaterThanOrEqual(Math.min(50_000, kib * 15));
      expect(accepted === 50_000).toBe(kib === 8 * 1024);
      expect(await wire.say('DATA')).toMatch(/^354 /);
      expect(await wire.say(`${dataOf(100 * KIB)}.`)).toMatch(/^250 /);
      const [mail] = await ingress.mails();
      expect(mail!.envelope.forwardPaths).toEqual(paths.slice(0, accepted));
    },
    MINUTE,
  );
});

describe('When another server takes less', () => {
  test(
    'mail goes on being accepted',
    async () => {
      const { rig: ingress, port } = await bench(8 * 1024);
      expect(await flood(port, { connections: 1, mails: 1, octets: 400 * KIB })).toEqual({ 250: 1 });
      await ingress.nats.kill('SIGKILL');
      await ingress.nats.restart(256 * KIB);
      const after = await flood(port, { connections: 8, mails: 4, octets: 100 * KIB });
      expect(after).toEqual({ 250: 32 });
      expect(await flood(port, { connections: 1, mails: 1, octets: 400 * KIB })).toEqual({ 250: 1 });
      expect(await ingress.mails()).toHaveLength(34);
    },
    MINUTE,
  );
});
