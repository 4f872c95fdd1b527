// What was wrong with mail under freezes, pairs of kills, clocks that differ, full streams and unreadable records, and is put right
// since: A, duplicates that nobody counted; B, mail that was forgotten; C, one bad or slow thing that stopped others.
import type { BeforeTable } from './table.ts';

const DOUBT = 'test/system/queue-doubt.test.ts';
const OWNERSHIP = 'test/system/queue-ownership.test.ts';
const PACKS = 'test/system/queue-packs.test.ts';
const STORE_TROUBLE = 'test/system/queue-store-trouble.test.ts';
const INGRESS_STREAMS = 'test/system/ingress-streams.test.ts';

/** Of an attempt that should be in doubt, and is not. */
const NOT_IN_DOUBT = /- {5}"00mail00000000000000\.1\.1",\s+- {3}\],\s+\+ {3}Array \[\],/;
/** A job, where there should be none. */
const SENT = /- Array \[\]\s+\+ Array \[\s+\+ {3}Object \{[\s\S]{0,100}"attemptId": "[^"]+"/;
const NEVER_EMPTY = /not within \d+ ms: \(\) => rig\.isEmpty\(\)/;

export const durableMail: BeforeTable = {
  commit: '1806668',
  patch: 'kit-of-1806668.patch',
  kitThere: ['queue-rig.ts', 'queue-worker.ts', 'delivery-owner.ts', 'fenced-checkpoint.ts'],
  rows: [
    {
      row: 'A1',
      what: 'worker and owner lost together',
      tests: [
        {
          file: DOUBT,
          test: 'is in doubt when its worker and its owner die together',
          older: 'tree',
          says: NOT_IN_DOUBT,
        },
        {
          file: DOUBT,
          test: 'is held, and not delivered again, where the policy says so',
          older: 'tree',
          says: /not within \d+ ms: .*phase === 5/,
        },
      ],
    },
    {
      row: 'A2',
      what: 'worker and owner frozen together: a late word in doubt',
      tests: [
        {
          file: DOUBT,
          test: 'says in doubt when the mail was delivered again: it was counted',
          older: 'tree',
          says: NOT_IN_DOUBT,
        },
      ],
    },
    {
      row: 'A3',
      what: 'partitions without an owner when a frozen one is back',
      tests: [
        {
          file: OWNERSHIP,
          test: 'own every partition but for a moment when one of them stood still and is back',
          older: 'services',
          says: /Expected: < 3000\s+Received: +\d+/,
        },
      ],
    },
    {
      row: 'A4',
      what: 'a worker that stops while final dots are out',
      tests: [
        {
          file: 'test/scenarios/rolling.test.ts',
          test: 'deliver each mail once whose host answers slowly, and none is in doubt',
          older: 'services',
          says: /Expected: 1\s+Received: +2/,
        },
      ],
    },
    {
      row: 'A5',
      what: 'what is in flight is larger than a message of the server',
      tests: [
        {
          file: 'test/scenarios/sizes.test.ts',
          test: 'is replaced by one that hears of all of them from their worker: nothing is delivered twice',
          older: 'services',
          says: /- {5}128,\s+\+ {5}256,/,
        },
      ],
    },
    {
      row: 'A6',
      what: 'an outcome larger than a message of the server',
      tests: [
        {
          file: 'test/scenarios/sizes.test.ts',
          test: 'is delivered once to the others, its worker lives, and the rest is reported',
          older: 'services',
          says: /the worker is dead/,
        },
      ],
    },
    {
      row: 'A7',
      what: 'a hand-over forgets the final dots of a dead worker',
      tests: [
        {
          file: DOUBT,
          test: 'is in doubt when its owner gives the partition up, and its worker dies before the next one has it',
          older: 'tree',
          says: NOT_IN_DOUBT,
        },
      ],
    },
    {
      row: 'A8',
      what: 'a checkpoint that no owner heard',
      tests: [
        {
          file: DOUBT,
          test: 'is in doubt when it was delivered while nobody was there to hear it',
          older: 'tree',
          says: NOT_IN_DOUBT,
        },
      ],
    },
    {
      row: 'A9',
      what: 'a job of an owner that was replaced, at a worker that never heard of the next one',
      tests: [
        {
          file: 'test/system/delivery-dots.test.ts',
          test: 'is not passed for an owner that has been replaced, by a worker that never heard of the next one',
          older: 'tree',
          says: /- {5}"kind": 4,\s+\+ {5}"kind": 1,/,
        },
      ],
    },
    {
      row: 'A10',
      what: 'outcomes wait as long again as JetStream stood still',
      tests: [
        {
          file: STORE_TROUBLE,
          test: 'costs 12 s: all that was told is acted on within five more',
          older: 'tree',
          says: /not within 5000 ms: .*unacknowledged\.size === 0/,
        },
      ],
    },
    {
      row: 'A11',
      what: 'an owner that cannot tell whether it is one goes on',
      tests: [
        {
          file: OWNERSHIP,
          test: 'sends nothing of a partition until somebody can tell, and goes on with those that it knows of',
          older: 'tree',
          says: SENT,
        },
        {
          file: OWNERSHIP,
          test: 'or whose heartbeats nobody confirms sends nothing',
          older: 'tree',
          says: SENT,
        },
      ],
    },
    {
      row: 'A12',
      what: 'mail of partitions without an owner is not counted',
      tests: [
        {
          file: 'test/system/queue-uncounted.test.ts',
          test: 'is counted as long as nobody can own it',
          older: 'services',
          says: /not within \d+ ms: all to be counted/,
        },
      ],
    },
    {
      row: 'B1',
      what: 'ingress ahead: no wake-up for ever',
      tests: [
        {
          file: 'test/scenarios/clocks.test.ts',
          test: 'for a host that is down is reported as late, then as failed, in time',
          older: 'services',
          says: /not within \d+ ms: the report of its expiry/,
        },
      ],
    },
    {
      row: 'B2',
      what: 'ingress far behind: reported as failed without an attempt',
      tests: [
        {
          file: 'test/scenarios/clocks.test.ts',
          test: 'whose clock is far behind is tried before it expires',
          older: 'services',
          says: /not within \d+ ms: 1 mails at the sink/,
        },
      ],
    },
    {
      row: 'B3',
      what: 'a worker ahead gives everything back',
      tests: [
        {
          file: 'test/system/delivery.test.ts',
          test: 'by 400000 ms delivers, and suspends a site that is down for its backoff',
          older: 'tree',
          says: /- {5}"kind": 1,\s+\+ {5}"kind": 4,/,
        },
      ],
    },
    {
      row: 'B4',
      what: 'an outage longer than mail may wait: reported as failed at the start',
      tests: [
        {
          file: 'test/scenarios/clocks.test.ts',
          test: 'while no queue ran is tried before it expires',
          older: 'services',
          says: /not within \d+ ms: \d mails at the sink/,
        },
      ],
    },
    {
      row: 'C1',
      what: 'a record that cannot be read holds all behind it',
      tests: [
        {
          file: PACKS,
          test: 'among packs, without an index, is put aside and holds nothing',
          older: 'tree',
          says: NEVER_EMPTY,
        },
      ],
    },
    {
      row: 'C2',
      what: 'a slow final dot holds the packs behind it',
      tests: [
        {
          file: PACKS,
          test: 'leaves its pack, and the attempt goes on with the next owner',
          older: 'tree',
          says: /not within \d+ ms: .*rig\.states\(\)/,
        },
      ],
    },
    {
      row: 'C3',
      what: 'STORE and SPOOL full: nothing makes room',
      tests: [
        {
          file: 'test/scenarios/full.test.ts',
          test: 'gets room when that expires: it is reported, and mail for others is taken and arrives',
          older: 'services',
          says: /not within \d+ ms: mail for others to be taken/,
        },
      ],
    },
    {
      row: 'C4',
      what: 'a STORE stream that refuses slows the other one down',
      tests: [
        {
          file: STORE_TROUBLE,
          test: 'that refuses for good takes nothing from the rate of the other one, and is named',
          older: 'tree',
          says: /not within 3000 ms: .*/,
        },
        {
          file: STORE_TROUBLE,
          test: 'that nobody answers for takes nothing either, and all is moved when it is back',
          older: 'tree',
          says: /not within 3000 ms: .*/,
        },
      ],
    },
    {
      row: 'C5',
      what: 'a full disk',
      tests: [
        {
          file: INGRESS_STREAMS,
          test: 'is told with 452 to all but one pack, and over when its server is started again with room',
          older: 'tree',
          says: /not within 20000 ms: .*/,
        },
        {
          file: 'test/scenarios/full.test.ts',
          test: 'is told at once, and when it has room again nothing stays behind',
          older: 'services',
          says: /not within \d+ ms: clients to be told/,
        },
      ],
    },
    {
      row: 'C6',
      what: 'one stream of two gets nearly all mail',
      tests: [
        {
          file: INGRESS_STREAMS,
          test: 'get as much mail each when one client sends one mail after the other',
          older: 'tree',
          says: /Array \[\s+-[^\]]*\+[^\]]*\]/,
        },
      ],
    },
    {
      row: 'C7',
      what: 'one full stream of two swallows most mail',
      tests: [
        {
          file: INGRESS_STREAMS,
          test: 'of which one is full take all mail that is offered',
          older: 'tree',
          says: /Expected: >= \d+\s+Received: +\d+/,
        },
      ],
    },
    {
      row: 'C8',
      what: 'a message that cannot be read ends processes',
      tests: [
        {
          file: 'test/system/unreadable-messages.test.ts',
          test: 'end no process and stop no mail, and each is counted',
          older: 'services',
          says: /not within \d+ ms: all mails to arrive/,
        },
      ],
    },
    {
      row: 'C9',
      what: 'a pack record that is gone holds its partition',
      tests: [
        {
          file: PACKS,
          test: 'from its pack before it could leave it is settled loudly, and holds no other',
          older: 'tree',
          says: NEVER_EMPTY,
        },
      ],
    },
    {
      row: 'C10',
      what: 'states are removed by subject, which costs nats-server more',
      tests: [
        {
          file: 'test/system/queue-removals.test.ts',
          test: 'is removed by its number',
          older: 'tree',
          says: /\+ {3}"purges": \d+,/,
        },
      ],
    },
  ],
};
