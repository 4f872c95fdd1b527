import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Presence as Heartbeat } from '#proto/postrider/v1/job.ts';
import { onUnreadable } from './decoding.ts';
import type { Incoming, Link } from './link.ts';
import { Presence } from './presence.ts';

function heartbeat(instance: string, more: Partial<Heartbeat> = {}): Uint8Array {
  const service = instance.split('-', 1)[0]!;
  const rest = { startedAtMs: 0, leaving: false, passive: false, clockMs: 1, wallClockMs: 1 };
  return Heartbeat.encode({ service, instance, holds: Buffer.from([1]), ...rest, ...more }).finish();
}

/** A server that answers, or stands still; then it has not heard the others either. */
function bench() {
  const hearers = new Map<string, (message: Incoming) => void>();
  let waiting: ((isHeard: boolean) => void)[] = [];
  const server = { stands: false };
  const link = {
    instance: 'queue-us',
    publish: () => true,
    subscribe: (subject: string, hear: (message: Incoming) => void) => {
      hearers.set(subject, hear);
      return { unsubscribe: () => {}, drain: async () => {} };
    },
    onReconnected: () => () => {},
    confirm: () =>
      server.stands
        ? new Promise<boolean>((resolve) => {
            waiting.push(resolve);
          })
        : Promise.resolve(true),
    flush: async () => {},
  };
  const presence = new Presence(link as unknown as Link, {
    service: 'queue',
    watch: ['queue', 'delivery'],
    holds: () => new Uint8Array(1),
  });
  const send = (service: string, data: Uint8Array) =>
    hearers.get(`presence.${service}`)!({ subject: `presence.${service}`, data, reply: '' });
  const says = (instance: string) => {
    send(instance.split('-', 1)[0]!, heartbeat(instance));
  };
  return {
    presence,
    send,
    says,
    others: (service = 'queue') =>
      presence
        .members(service)
        .map((member) => member.instance)
        .filter((instance) => instance !== 'queue-us'),
    standStill: () => {
      server.stands = true;
    },
    /** It answers all that we asked, and then goes on. */
    goOn: () => {
      server.stands = false;
      for (const answer of waiting) answer(true);
      waiting = [];
    },
  };
}

/** So many milliseconds pass; every second `each` is called. */
async function pass(ms: number, each: () => void = () => {}): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    if (passed % 1000 === 0) each();
    await jest.advanceTimersByTimeAsync(50);
  }
}

async function started() {
  const made = bench();
  void made.presence.start();
  await pass(1500);
  return made;
}

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
  onUnreadable(() => {});
});

describe('Presence', () => {
  test('knows who speaks, and takes who is silent for more than five seconds for gone', async () => {
    const { presence, says, others } = await started();
    says('queue-a');
    says('delivery-a');
    await pass(5000, () => says('delivery-a'));
    expect(others()).toEqual(['queue-a']);
    expect(presence.members('queue').find(({ instance }) => instance === 'queue-a')?.silentMs).toBe(5000);
    await pass(1600, () => says('delivery-a'));
    expect(others()).toEqual([]);
    expect(others('delivery')).toEqual(['delivery-a']);
    await presence.leave();
  });

  test('does not take the living for gone when the server stood still', async () => {
    const { presence, says, others, standStill, goOn } = await started();
    says('queue-a');
    await pass(1000);
    standStill();
    await pass(8000);
    // It answers us before it reads what the others said.
    goOn();
    await pass(1000);
    expect(others()).toEqual(['queue-a']);
    // Whoever is silent from now on is gone as ever.
    await pass(6500);
    expect(others()).toEqual([]);
    await presence.leave();
  });

  test('asks twice before somebody is gone: what was on its way is heard in between', async () => {
    const { presence, says, others } = await started();
    const gone: string[] = [];
    says('queue-a');
    presence.onChange(() => gone.push(others().join()));
    await pass(5600);
    says('queue-a');
    await pass(1000);
    expect(gone).toEqual([]);
    expect(others()).toEqual(['queue-a']);
    await presence.leave();
  });

  test('lives on a lease from the last heartbeat that was confirmed', async () => {
    const { presence, standStill } = await started();
    const { leaseUntilMs } = presence;
    expect(leaseUntilMs - performance.now()).toBeGreaterThan(2400);
    standStill();
    await pass(4000);
    expect(presence.leaseUntilMs).toBeLessThan(performance.now());
    await presence.leave();
  });

  test('knows how far the clocks of others are from ours, through a slow way, of who lives and says it', async () => {
    const { presence, send } = await started();
    const saysAt = (instance: string, wallClockMs: number) =>
      send(instance.split('-', 1)[0]!, heartbeat(instance, { wallClockMs }));
    await pass(4000, () => {
      saysAt('delivery-ahead', Date.now() + 12_300);
      saysAt('queue-slow', Date.now() - 3000);
      saysAt('queue-old', 0);
      saysAt('queue-us', Date.now() + 99_000);
    });
    saysAt('queue-slow', Date.now() - 20);
    saysAt('delivery-ahead', Date.now() + 12_300 - 5000);
    expect(presence.clockOffsets()).toEqual([
      { instance: 'queue-slow', aheadMs: -20 },
      { instance: 'delivery-ahead', aheadMs: 12_300 },
    ]);
    send('delivery', heartbeat('delivery-ahead', { leaving: true }));
    expect(presence.clockOffsets().map(({ instance }) => instance)).toEqual(['queue-slow']);
    await pass(7000);
    expect(presence.clockOffsets()).toEqual([]);
    await presence.leave();
  });

  test.each([
    ['no protobuf', Buffer.from([0x0f, 0xff, 0xff, 0xff])],
    ['nothing', Buffer.alloc(0)],
    ['of another service', heartbeat('queue-x', { service: 'x' })],
    ['of nobody', heartbeat('', { service: 'queue' })],
    ['of one that holds more than there is', heartbeat('queue-x', { holds: Buffer.alloc(10_000) })],
  ])('drops a heartbeat that is %s', async (_, data) => {
    const dropped: string[] = [];
    onUnreadable(({ kind }) => dropped.push(kind));
    const { presence, send, says, others } = await started();
    send('queue', data);
    says('queue-a');
    expect(others()).toEqual(['queue-a']);
    expect(dropped).toEqual(['presence']);
    await presence.leave();
  });
});
