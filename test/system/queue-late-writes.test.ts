// A state that its owner has sent and that JetStream takes up much later: held in a link that was cut, or by a server that stood still. It
// is refused, or the next owner has read it.
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { CutProxy } from '#kit/cut-proxy.ts';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { provision } from '#libs/nats/provision.ts';
import { readAll } from '#libs/nats/reading.ts';
import { type Draft, RecordWriter, type Stored } from '#libs/nats/records.ts';
import { claim, type Stores } from '../../services/queue/takeover.ts';

jest.setTimeout(60_000);

const layout: Layout = { partitions: 1, spoolStreams: 1, replicas: 1, spoolSizeMax: 1_000_000 };

let nats: NatsServer;
let proxy: CutProxy;
let links: Link[];
let old: Stores;
let next: Stores;

beforeEach(async () => {
  nats = await startNats();
  proxy = await CutProxy.open(nats.port);
  links = await Promise.all(
    [`nats://127.0.0.1:${proxy.port}`, nats.url].map((url) => connectLink({ url, service: 'queue' })),
  );
  [old, next] = links.map((link) => {
    return { link, layout, writer: new RecordWriter(link), direct: new DirectGet(link) };
  }) as [Stores, Stores];
  await provision(next.link, layout);
});

afterEach(async () => {
  proxy.heal();
  await Promise.all(links.map((link) => link.close()));
  await proxy.close();
  await nats.stop();
});

async function claimed(stores: Stores): Promise<number> {
  const answer = await claim(stores, 0, Date.now());
  if (answer.kind !== 'claimed') throw new Error(answer.kind);
  return answer.epoch;
}

function stateOf(mail: string, epoch: number): Draft {
  const fence = { subject: subjects.owner(0), sequence: epoch };
  return { subject: subjects.mail(0, mail), payload: Buffer.from(mail), id: '', fence };
}

/** One state, or many together, by the old owner. */
const WRITES: [string, (epoch: number) => Promise<Stored>][] = [
  ['a state', (epoch) => old.writer.store({ ...stateOf('a', epoch), giveUpAfterMs: 20_000 })],
  [
    'a batch of states',
    (epoch) => {
      const drafts = Array.from({ length: 20 }, (_, i) => stateOf(`a${i}`, epoch));
      return old.writer.storeAtomically(drafts, { giveUpAfterMs: 20_000 });
    },
  ],
];

/** As the next owner reads them. */
async function found(): Promise<string[]> {
  const read: string[] = [];
  const query = { stream: 'QUEUE', subject: subjects.mail(0, '*') };
  await readAll(next.link, query, ({ subject }) => read.push(subject));
  return read;
}

describe.each(WRITES)('%s of an owner that was replaced since', (_, write) => {
  test('is refused when it lay in a link that was cut', async () => {
    const epoch = await claimed(old);
    proxy.cut();
    const late = write(epoch);
    const own = stateOf('b', await claimed(next));
    expect((await next.writer.store({ ...own, giveUpAfterMs: 5000 })).kind).toBe('stored');
    expect(await found()).toEqual([subjects.mail(0, 'b')]);
    proxy.heal();
    expect((await late).kind).toBe('conflict');
    expect(await found()).toEqual([subjects.mail(0, 'b')]);
  });

  test('is refused, or was read by the next one, when the server stood still', async () => {
    for (let round = 0; round < 3; round++) {
      const epoch = await claimed(old);
      await nats.kill('SIGSTOP');
      const late = write(epoch);
      const claiming = claimed(next);
      setTimeout(() => void nats.kill('SIGCONT'), 500);
      const nextEpoch = await claiming;
      const read = await found();
      const stored = await late;
      expect(await found()).toEqual(read);
      if (stored.kind === 'stored') {
        expect(stored.sequence).toBeLessThan(nextEpoch);
        expect(read.length).toBeGreaterThan(0);
      } else expect(stored.kind).toBe('conflict');
    }
  });
});
