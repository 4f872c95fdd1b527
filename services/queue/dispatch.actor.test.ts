import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Tally } from '#libs/telemetry/tally.ts';
import { Tracing } from '#libs/telemetry/tracing.ts';
import { type InflightAttempt, type Outcome, OutcomeAck, OutcomeKind } from '#proto/postrider/v1/job.ts';
import type { Site } from '#proto/postrider/v1/route.ts';
import type { Attempt, Origin } from './attempts.ts';
import { CheckpointLedger } from './checkpoint-ledger.ts';
import type { QueueContext } from './context.ts';
import { type Custody, newCustody } from './custody.ts';
import { Dispatch, type DispatchOwner } from './dispatch.actor.ts';
import { Interned } from './interned.ts';
import { receive } from './message.machine.ts';
import { messageFromPack, NO_REPLY } from './message.ts';
import type { MessagePolicy } from './message-reviews.ts';

const policy: MessagePolicy = {
  scheduleMs: [1000],
  expireAfterMs: 1_000_000,
  delayWarningAfterMs: 500_000,
  inDoubt: 'hold',
};
/** Of an earlier owner, adopted by this one. */
const ID = 'q.1.9';

let counted: string[];
let acknowledged: string[];
let cancelled: string[];
let custody: Custody;
let dispatch: Dispatch;
let ledger: CheckpointLedger;

beforeEach(() => {
  counted = [];
  acknowledged = [];
  cancelled = [];
  const place = { offset: 0, length: 1 };
  const entry = { queueId: 'q', ...place, acceptedAtMs: 0, domains: [], size: 1, nullReversePath: false };
  const ref = { stream: 'SPOOL_0', sequence: 1, ...place };
  const message = messageFromPack({ ...entry, trace: undefined }, ref, ['a.example', 'a.example']);
  custody = newCustody(message, { sequence: 1, entry: 0 }, 0);
  const owner: DispatchOwner = {
    number: 0,
    epoch: 10,
    isOpen: true,
    find: () => custody,
    feed: (mail, input) => receive(mail.message, input, policy).length > 0,
    onContentMissing: () => {},
  };
  const context = {
    now: () => 1000,
    clock: { toWall: (ms: number) => ms },
    sameTraceWindowMs: 0,
    policy,
    interned: new Interned(),
    tracing: Tracing.off(),
    link: { publish: (_: string, data: Uint8Array) => cancelled.push(...OutcomeAck.decode(data).cancelled) },
    desk: { finished: () => {}, status: () => {} },
    counters: { outcomes: { count: () => {} } as unknown as Tally<string> },
    acknowledge: (_: unknown, worker: string, attemptId: string) =>
      acknowledged.push(`${worker} ${attemptId}`),
    onInDoubt: (_: string, attemptId: string) => counted.push(attemptId),
  } as unknown as QueueContext;
  const end = (_: string, onStored: () => void) => onStored();
  ledger = new CheckpointLedger();
  dispatch = new Dispatch(owner, context, () => ({ end, over: () => {}, missed: () => {}, ledger }));
});

const running: InflightAttempt = {
  attemptId: ID,
  queueId: 'q',
  recipients: [],
  siteKey: 's',
  checkpointed: false,
};

function hear(worker: string, what: { accepted?: string[]; outcomes?: Outcome[] }): void {
  dispatch.heard({ worker, accepted: [], outcomes: [], sites: [], ...what });
}

/** It was cut off behind its final dot; of the first recipient it knows more. */
const cut: Outcome = {
  attemptId: ID,
  queueId: 'q',
  kind: OutcomeKind.DEFERRED,
  reply: NO_REPLY,
  recipients: [{ recipient: 0, kind: OutcomeKind.RELAYED, reply: NO_REPLY }],
  tls: '',
  jobRecipients: [],
  inDoubt: true,
};
const phases = () => custody.message.recipients.map(({ phase, inDoubt }) => `${phase} ${inDoubt}`);

describe('An attempt that two workers have', () => {
  test('is counted when both pass its checkpoint, whoever accepted it last', () => {
    dispatch.adopt('w1', running);
    dispatch.checkpointed('w1', [ID], true);
    hear('w2', { accepted: [ID] });
    dispatch.checkpointed('w2', [ID], true);
    expect(counted).toEqual([ID]);
  });
});

describe('An attempt that a new owner adopts, and whose worker dies then,', () => {
  const isCounted = (what: Partial<InflightAttempt>) => {
    dispatch.adopt('w', { ...running, ...what });
    dispatch.lost(dispatch.attempts.get(ID)!);
    return counted.includes(ID);
  };

  test('is in doubt when its worker said that its final dot may be out', () => {
    expect(isCounted({ checkpointed: true, passed: true })).toBe(true);
  });

  test('is in doubt when its checkpoint was stored, though its worker had not heard so', () => {
    ledger.add(1, { worker: 'w', attemptIds: [ID], ended: [], parts: [] }, () => false);
    expect(isCounted({ checkpointed: true, passed: false })).toBe(true);
  });

  test('is not in doubt when its worker had only asked', () => {
    expect(isCounted({ checkpointed: true, passed: false })).toBe(false);
  });

  test('is in doubt when a worker that can say no more has asked', () => {
    expect(isCounted({ checkpointed: true })).toBe(true);
  });
});

test('What is in doubt and to be held is tried by no other attempt that was adopted', () => {
  dispatch.adopt('w1', running);
  dispatch.doubt({ attemptId: 'q.2.9', worker: 'gone', recipients: [] }, custody);
  expect([counted, cancelled]).toEqual([['q.2.9'], [ID]]);
  hear('w1', { outcomes: [{ ...cut, kind: OutcomeKind.RETURNED, recipients: [], inDoubt: false }] });
  expect(phases()).toEqual(['held true', 'held true']);
});

describe('A job that nobody accepted and that is sent again', () => {
  const leaser = { number: 0, lease: () => undefined };
  const site = { key: 's', to: [] } as unknown as Site;
  let first: Attempt;
  let second: Attempt;

  beforeEach(() => {
    receive(custody.message, { kind: 'due', nowMs: 0 }, policy);
    const routes = new Map([['a.example', { kind: 'site', site } as const]]);
    receive(custody.message, { kind: 'routed', nowMs: 0, routes }, policy);
    const job = dispatch.lease({ leaser, custody, positions: [0, 1], readyAtMs: 1000 }, site, 1000)!;
    first = dispatch.attempts.get(job.attemptId)!;
    const again = dispatch.renewed(first, first.origin as Extract<Origin, { kind: 'leased' }>, 5000);
    second = dispatch.attempts.get(again.attemptId)!;
  });

  const of = ({ id }: Attempt, kind: OutcomeKind): Outcome => ({
    ...cut,
    attemptId: id,
    kind,
    recipients: [],
    inDoubt: false,
  });
  const attempting = ['attempting false', 'attempting false'];

  test('has a new id, and the old one is nobody’s', () => {
    expect(second.id).not.toBe(first.id);
    expect([...dispatch.attempts.all()]).toEqual([second]);
  });

  test('goes on, whatever is said by a worker that the first one reached after all', () => {
    hear('w2', { accepted: [second.id] });
    hear('cut off', { accepted: [first.id] });
    expect(cancelled).toEqual([first.id]);
    hear('cut off', { outcomes: [of(first, OutcomeKind.DEFERRED)] });
    hear('cut off', { outcomes: [of(first, OutcomeKind.RETURNED)] });
    expect([phases(), second.worker, acknowledged]).toEqual([
      attempting,
      'w2',
      Array(2).fill(`cut off ${first.id}`),
    ]);
  });

  test('is counted when the first one passes all the same', () => {
    dispatch.checkpointed('w2', [second.id], true);
    dispatch.checkpointed('slow', [first.id], true);
    expect(counted).toEqual([first.id]);
  });
});

describe('Of an attempt in doubt', () => {
  test('what its worker knows all the same is believed, and the rest is in doubt', () => {
    dispatch.adopt('w', running);
    hear('w', { outcomes: [cut] });
    expect([phases(), counted]).toEqual([['done false', 'held true'], [ID]]);
    expect([acknowledged, custody.acks]).toEqual([[], [expect.objectContaining({ attemptId: ID })]]);
  });

  test('the same holds when nobody here knows the attempt', () => {
    hear('w', { outcomes: [cut] });
    expect([phases(), counted, acknowledged]).toEqual([['done false', 'held true'], [ID], []]);
  });

  test('nothing is in doubt when its worker knows everything', () => {
    dispatch.adopt('w', running);
    const both = [0, 1].map((recipient) => ({ recipient, kind: OutcomeKind.RELAYED, reply: NO_REPLY }));
    hear('w', { outcomes: [{ ...cut, recipients: both }] });
    expect([custody.message.phase, counted]).toEqual(['settled', []]);
  });
});

describe('Of two attempts that earlier owners had sent for one mail', () => {
  const passed = { ...running, attemptId: 'q.2.9', checkpointed: true };
  const said = (attemptId: string, kind: OutcomeKind): Outcome => ({
    ...cut,
    attemptId,
    kind,
    recipients: [],
    inDoubt: false,
  });

  test('the one that has passed its checkpoint is waited for, whatever the other one says', () => {
    expect([dispatch.adopt('w1', running), dispatch.adopt('w2', passed)]).toEqual([true, true]);
    expect(cancelled).toEqual([ID]);
    for (const kind of [OutcomeKind.RETURNED, OutcomeKind.DEFERRED, OutcomeKind.FAILED]) {
      if (dispatch.attempts.get(ID) === undefined) dispatch.adopt('w1', { ...running, checkpointed: true });
      hear('w1', { outcomes: [said(ID, kind)] });
      expect([dispatch.attempts.get(ID), phases()]).toEqual([
        undefined,
        ['attempting false', 'attempting false'],
      ]);
    }
    hear('w2', { outcomes: [said(passed.attemptId, OutcomeKind.RELAYED)] });
    expect([custody.message.phase, counted]).toEqual(['settled', []]);
  });

  test('the one that has not passed is refused, when the other one was adopted first', () => {
    expect([dispatch.adopt('w2', passed), dispatch.adopt('w1', running)]).toEqual([true, false]);
    dispatch.refuse('w1', running);
    expect([cancelled, counted]).toEqual([[ID], []]);
  });

  test('the last one that comes back unsent leaves the mail to be tried', () => {
    for (const one of [passed, { ...running, checkpointed: true }]) dispatch.adopt('w', one);
    for (const id of [ID, passed.attemptId]) hear('w', { outcomes: [said(id, OutcomeKind.RETURNED)] });
    expect(phases()).toEqual(['routing false', 'routing false']);
  });

  test('the other one is counted as soon as one has delivered, when both have passed', () => {
    for (const one of [passed, { ...running, checkpointed: true }]) dispatch.adopt('w', one);
    hear('w', { outcomes: [said(ID, OutcomeKind.RELAYED)] });
    expect(counted).toEqual([passed.attemptId]);
    hear('w', { outcomes: [said(passed.attemptId, OutcomeKind.RELAYED)] });
    expect(counted).toEqual([passed.attemptId]);
  });

  test('the other one is in doubt alone when its worker dies, and is not repeated while the first is out', () => {
    for (const one of [passed, { ...running, checkpointed: true }]) dispatch.adopt('w', one);
    dispatch.lost(dispatch.attempts.get(ID)!);
    expect([counted, phases()]).toEqual([[ID], ['attempting false', 'attempting false']]);
  });

  test('one whose mail has its fate already is counted, when it has passed', () => {
    dispatch.adopt('w2', passed);
    hear('w2', { outcomes: [said(passed.attemptId, OutcomeKind.RELAYED)] });
    const late = { ...running, checkpointed: true };
    expect(dispatch.adopt('w1', late)).toBe(false);
    dispatch.refuse('w1', late);
    expect([cancelled, counted]).toEqual([[ID], [ID]]);
  });
});

test('A late word that settles a mail counts the attempt that is out for it and has passed its checkpoint', () => {
  dispatch.adopt('w', { ...running, checkpointed: true });
  hear('other', {
    outcomes: [{ ...cut, attemptId: 'q.7.8', kind: OutcomeKind.RELAYED, recipients: [], inDoubt: false }],
  });
  expect([custody.message.phase, counted]).toEqual(['settled', [ID]]);
});

test('A mail that is deferred again and again while its state cannot be stored holds a bounded number of outcomes', () => {
  for (let number = 1; number <= 250; number++) {
    const attemptId = `q.${number}.9`;
    dispatch.adopt('w1', { ...running, attemptId });
    hear('w1', { outcomes: [{ ...cut, attemptId, recipients: [], inDoubt: false }] });
    for (const recipient of custody.message.recipients) recipient.phase = 'waiting';
  }
  expect(custody.acks).toHaveLength(100);
  expect(acknowledged).toHaveLength(150);
  expect([acknowledged[0], acknowledged.at(-1)]).toEqual(['w1 q.1.9', 'w1 q.150.9']);
  expect(dispatch.attempts.size).toBe(100);
});
