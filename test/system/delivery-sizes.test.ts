// What a worker tells of mails with very many recipients, on servers that take messages of different sizes.
import { afterEach, describe, expect, test } from '@jest/globals';
import { DeliveryWorkers } from '#kit/delivery-workers.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { recipientRoom } from '#libs/nats/payload.ts';
import { type Outcome, OutcomeKind } from '#proto/postrider/v1/job.ts';

const MINUTE = 60_000;
const KIB = 1024;

let workers: DeliveryWorkers | undefined;

afterEach(async () => {
  await workers?.clear();
  await workers?.close();
  workers = undefined;
}, MINUTE);

/** Every other one is refused by the sink, with 450 characters of its own. */
const pathOf = (i: number) => (i % 2 === 0 ? `u${i}@b.example` : `550-words-${i}@b.example`);

/** As many of these as a mail may have, and at most so many. */
function pathsFor(payloadMax: number, most: number): string[] {
  const room = recipientRoom(payloadMax);
  const paths: string[] = [];
  let octets = 0;
  while (paths.length < Math.min(most, room.recipients)) {
    const path = pathOf(paths.length);
    octets += path.length + 4;
    if (octets > room.pathOctets) break;
    paths.push(path);
  }
  return paths;
}

/** Kind and code of each recipient: who is not listed has the result of the whole. */
function resultsOf(outcome: Outcome, count: number): string[] {
  const own = new Map(outcome.recipients.map((one) => [one.recipient, one]));
  return Array.from({ length: count }, (_, position) => {
    const { kind, reply } = own.get(position) ?? outcome;
    return `${kind} ${reply?.code}`;
  });
}

describe('A mail of which every other recipient is refused with many words', () => {
  test.each([
    [256 * KIB, 40_000],
    [1024 * KIB, 40_000],
    [8 * 1024 * KIB, 40_000],
  ])(
    'is delivered once, and each result is told, at a server that takes %d octets',
    async (payloadMax, most) => {
      workers = await DeliveryWorkers.open({ payloadMax });
      const paths = pathsFor(payloadMax, most);
      expect(paths.length).toBeGreaterThanOrEqual(Math.min(40_000, payloadMax / 45));
      const owner = workers.owner();
      await owner.fence();
      const sink = await workers.sink();
      const worker = await workers.start({ timeoutScale: 0.2 });
      const sizes: number[] = [];
      worker.link.subscribe('outcome.0', ({ data }) => sizes.push(data.length));
      const [job] = await owner.store([{ to: paths }]);
      const site = workers.site(sink.port);
      owner.send(site, [job!]);
      await waitUntil(() => owner.outcomes.length > 0, 50_000);
      const [outcome] = owner.outcomes;
      const wanted = paths.map((_, i) =>
        i % 2 === 0 ? `${OutcomeKind.RELAYED} 250` : `${OutcomeKind.FAILED} 550`,
      );
      expect(resultsOf(outcome!, paths.length)).toEqual(wanted);
      // It is told again like every outcome, and the worker goes on.
      await waitUntil(() => owner.outcomes.length > 1, 10_000);
      owner.acknowledge(worker.link.instance, [outcome!.attemptId]);
      const [next] = await owner.store([{ to: ['u@b.example'] }]);
      owner.send(site, [next!]);
      await owner.outcomesOf([next!]);
      expect(sink.taken).toBe(2);
      expect(Math.max(...sizes)).toBeLessThan(payloadMax);
    },
    MINUTE,
  );
});
