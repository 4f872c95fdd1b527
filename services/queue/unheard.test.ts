import { beforeEach, describe, expect, test } from '@jest/globals';
import { InflightAnswer } from '#proto/postrider/v1/job.ts';
import { CheckpointLedger } from './checkpoint-ledger.ts';
import { newCustody } from './custody.ts';
import { messageFromPack } from './message.ts';
import { Unheard, type UnheardOptions } from './unheard.actor.ts';

let live: Set<string>;
let acts: string[];
/** Called while the workers are asked. */
let meanwhile: () => void;
let owner: { number: number; epoch: number; isOpen: boolean; find: () => typeof custody };
let unheard: Unheard;

const place = { offset: 0, length: 1 };
const entry = { queueId: 'q', ...place, acceptedAtMs: 0, domains: [], size: 1, nullReversePath: false };
const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
const mail = messageFromPack({ ...entry, trace: undefined }, ref, ['a.example']);
const custody = newCustody(mail, { sequence: 1, entry: 0 }, 0);

beforeEach(() => {
  live = new Set(['silent', 'other']);
  acts = [];
  meanwhile = () => {};
  owner = { number: 0, epoch: 10, isOpen: true, find: () => custody };
  const ledger = new CheckpointLedger();
  ledger.add(1, { worker: 'silent', attemptIds: ['q.1.9'], ended: [], parts: [] }, () => false);
  const options = {
    owner,
    dispatch: {
      heard: () => {},
      adopt: () => true,
      cancel: () => {},
      doubt: ({ attemptId }: { attemptId: string }) => acts.push(`doubt ${attemptId}`),
    },
    checkpoints: { ledger, end: (attemptId: string) => acts.push(`end ${attemptId}`) },
    context: {
      liveWorkers: () => live,
      viewIsFresh: () => true,
      now: () => 0,
      onTrouble: () => {},
      link: {
        publish: () => true,
        scatterUntil: async (_: unknown, hear: (data: Uint8Array) => boolean) => {
          meanwhile();
          hear(InflightAnswer.encode(answerOf('other')).finish());
        },
      },
    },
    endedAttempts: new Map(),
    start: () => acts.push('start'),
  };
  unheard = new Unheard(options as unknown as UnheardOptions);
});

const answerOf = (worker: string): InflightAnswer => {
  return { worker, running: [], unacknowledged: [], part: 0, parts: 0 };
};

describe('A mail that a silent worker may have', () => {
  test('waits, and is started and in doubt when that one is gone', async () => {
    unheard.begin([], [], [custody]);
    await unheard.sweep();
    expect([acts, unheard.holds(custody)]).toEqual([[], true]);
    live.delete('silent');
    await unheard.sweep();
    expect([acts, unheard.holds(custody)]).toEqual([['doubt q.1.9', 'start'], false]);
  });

  test('is the next owner’s to judge when the partition is given up while the workers are asked', async () => {
    unheard.begin([], [], [custody]);
    meanwhile = () => {
      live.delete('silent');
      owner.isOpen = false;
    };
    await unheard.sweep();
    expect(acts).toEqual([]);
  });
});
