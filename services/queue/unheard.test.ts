import { beforeEach, describe, expect, test } from '@jest/globals';
import { InflightAnswer } from '#proto/postrider/v1/job.ts';
import { CheckpointLedger } from './checkpoint-ledger.ts';
import { type Custody, newCustody } from './custody.ts';
import { messageFromPack } from './message.ts';
import { Unheard, type UnheardOptions } from './unheard.actor.ts';

let live: Set<string>;
let acts: string[];
let options: UnheardOptions;
/** Called while the workers are asked. */
let meanwhile: () => void;
let owner: { number: number; epoch: number; isOpen: boolean; find: () => Custody | undefined };
let unheard: Unheard;
/** What the workers answer when they are asked again. */
let late: InflightAnswer[];
/** Mails whose recipients were read, and what comes of it. */
let read: () => readonly Custody[];

const place = { offset: 0, length: 1 };
const entry = { queueId: 'q', ...place, acceptedAtMs: 0, domains: [], size: 1, nullReversePath: false };
const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
const mail = () => messageFromPack({ ...entry, trace: undefined }, ref, ['a.example']);
const { recipients } = mail();
let custody: Custody;

beforeEach(() => {
  custody = newCustody(mail(), { sequence: 1, entry: 0 }, 0);
  late = [answerOf('other')];
  read = () => [];
  live = new Set(['silent', 'other']);
  acts = [];
  meanwhile = () => {};
  owner = { number: 0, epoch: 10, isOpen: true, find: () => custody };
  const ledger = new CheckpointLedger();
  ledger.add(1, { worker: 'silent', attemptIds: ['q.1.9'], ended: [], parts: [] }, () => false);
  options = {
    owner,
    dispatch: {
      heard: () => {},
      adopt: (_: string, { attemptId }: { attemptId: string }) => acts.push(`adopt ${attemptId}`),
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
          for (const answer of late) hear(InflightAnswer.encode(answer).finish());
        },
      },
    },
    endedAttempts: new Map(),
    unread: [],
    readRecipients: async () => read(),
    start: () => acts.push('start'),
  } as unknown as UnheardOptions;
  unheard = new Unheard(options);
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

describe('A mail of which it is not known yet whom it is for', () => {
  beforeEach(() => {
    custody.message.recipients = [];
    read = () => [custody];
  });

  test('is not started while a checkpoint of it is open, and is in doubt when it is known', async () => {
    live = new Set(['other']);
    unheard.begin([answerOf('other')], [], [custody]);
    await unheard.sweep();
    expect([acts, unheard.holds(custody), unheard.mayBeOut(custody)]).toEqual([[], true, false]);
    read = () => {
      custody.message.recipients = recipients;
      return [];
    };
    await unheard.sweep();
    expect([acts, unheard.holds(custody)]).toEqual([['doubt q.1.9', 'start'], false]);
  });

  test('is not started while its envelope is looked for, and is over when it is settled', async () => {
    live = new Set(['other']);
    read = () => [];
    unheard.begin([answerOf('other')], [], [custody]);
    await unheard.sweep();
    expect([acts, unheard.holds(custody)]).toEqual([[], true]);
    custody.message.phase = 'settled';
    owner.find = () => undefined;
    await unheard.sweep();
    expect(acts).toEqual(['end q.1.9', 'start']);
  });

  test('is adopted only then: a worker that tells of it is asked again', async () => {
    const running = { attemptId: 'q.1.9', queueId: 'q', recipients: [], siteKey: 's', checkpointed: true };
    live = new Set(['silent']);
    late = [{ ...answerOf('silent'), running: [running] }];
    unheard = new Unheard({ ...options, unread: [custody] });
    unheard.begin(late, [], [custody]);
    await unheard.sweep();
    expect([acts, unheard.holds(custody), unheard.mayBeOut(custody)]).toEqual([[], true, true]);
    read = () => {
      custody.message.recipients = recipients;
      return [];
    };
    await unheard.sweep();
    expect(acts).toEqual(['adopt q.1.9', 'start']);
  });
});
