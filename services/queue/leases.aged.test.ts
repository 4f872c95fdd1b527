import { describe, expect, test } from '@jest/globals';
import type { Link } from '#libs/nats/link.ts';
import { InflightAnswer } from '#proto/postrider/v1/job.ts';
import { type Attempt, AttemptLedger } from './attempts.ts';
import { newCustody } from './custody.ts';
import type { Dispatch } from './dispatch.actor.ts';
import { Leases } from './leases.actor.ts';
import { messageFromPack } from './message.ts';
import type { SiteDesk } from './site-desk.actor.ts';

const PLACE = { offset: 0, length: 1 };
const ENTRY = { queueId: 'q', ...PLACE, acceptedAtMs: 0, domains: [], size: 1, trace: undefined };
const MESSAGE = messageFromPack(
  { ...ENTRY, nullReversePath: false },
  { stream: 'SPOOL_0', sequence: 1, ...PLACE },
  ['a.example'],
);
const MINUTE_MS = 60_000;

/** One attempt that live worker `w` has had since 0; `answers` are those of workers `w` and `v`. */
function world(answers: Partial<InflightAnswer>[], known: Partial<Attempt> = {}) {
  const attempts = new AttemptLedger();
  const attempt: Attempt = {
    id: 'q.1.1',
    custody: newCustody(MESSAGE, { sequence: 1, entry: 0 }, 0),
    positions: [0],
    siteKey: 's',
    origin: { kind: 'adopted' },
    sentAtMs: 0,
    worker: 'w',
    checkpointed: false,
    finished: false,
    ...known,
  };
  attempts.add(attempt);
  const lost: string[] = [];
  const said: string[] = [];
  let asked = 0;
  const link = {
    scatterUntil: async (_: unknown, onAnswer: (data: Uint8Array) => boolean) => {
      asked += 1;
      for (const answer of answers) {
        const whole = { worker: '', running: [], unacknowledged: [], part: 0, parts: 0, ...answer };
        onAnswer(InflightAnswer.encode(whole).finish());
      }
    },
  } as unknown as Link;
  const leases = new Leases({
    link,
    onTrouble: (reason) => said.push(reason),
    desk: {} as SiteDesk,
    dispatch: { attempts, lost: ({ id }: Attempt) => lost.push(id) } as unknown as Dispatch,
    checkpoints: () => ({ giveUp: async () => true }),
    now: () => 0,
    liveWorkers: () => new Set(['w', 'v']),
    viewIsFresh: () => true,
    counters: { resent: { add: () => {} } },
    owner: { number: 0, epoch: 1, isOpen: true },
  });
  return { leases, lost, said, asked: () => asked };
}

const RUNNING = [{ attemptId: 'q.1.1', queueId: 'q', recipients: [], siteKey: 's', checkpointed: true }];

describe('An attempt that a live worker has had for half an hour', () => {
  test('is lost when all workers answer and none of them knows it', async () => {
    const { leases, lost, said } = world([{ worker: 'w' }, { worker: 'v' }]);
    await leases.sweep(31 * MINUTE_MS);
    expect(lost).toEqual(['q.1.1']);
    expect(said).toEqual(['w does not know attempt q.1.1 any more']);
  });

  test.each<[string, Partial<InflightAnswer>[]]>([
    ['its worker has it', [{ worker: 'w', running: RUNNING }, { worker: 'v' }]],
    ['another worker has it', [{ worker: 'w' }, { worker: 'v', running: RUNNING }]],
    ['some worker does not answer', [{ worker: 'w' }]],
    ['its worker does not answer', [{ worker: 'v' }]],
  ])('goes on while %s', async (_, answers) => {
    const { leases, lost } = world(answers);
    await leases.sweep(31 * MINUTE_MS);
    expect(lost).toEqual([]);
  });

  test('is asked about no sooner, and once in five minutes', async () => {
    const { leases, lost, asked } = world([{ worker: 'w', running: RUNNING }, { worker: 'v' }]);
    await leases.sweep(29 * MINUTE_MS);
    expect(asked()).toBe(0);
    for (let minute = 35; minute < 45; minute += 0.5) await leases.sweep(minute * MINUTE_MS);
    expect(asked()).toBe(2);
    expect(lost).toEqual([]);
  });

  test('is not asked about when its outcome waits to be stored', async () => {
    const { leases, lost, asked } = world([{ worker: 'w' }, { worker: 'v' }], { finished: true });
    await leases.sweep(31 * MINUTE_MS);
    expect({ lost, asked: asked() }).toEqual({ lost: [], asked: 0 });
  });
});
