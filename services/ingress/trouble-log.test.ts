import { describe, expect, test } from '@jest/globals';
import { TroubleLog } from './trouble-log.ts';

describe('Trouble', () => {
  test('of one kind is said at once, and then every ten seconds with its count', () => {
    const lines: string[] = [];
    let nowMs = 0;
    const log = new TroubleLog(
      (line) => lines.push(line),
      () => nowMs,
    );
    for (const mails of [1, 2, 3]) log.say(`a pack of ${mails} mails is not stored: full`);
    log.say('something else');
    nowMs = 10_000;
    for (const mails of [4, 5]) log.say(`a pack of ${mails} mails is not stored: full`);
    nowMs = 20_000;
    log.say('something else');
    expect(lines).toEqual([
      'a pack of 1 mails is not stored: full',
      'something else',
      'a pack of 4 mails is not stored: full (and 2 times before)',
      'something else',
    ]);
  });

  test('does not become another one by its details', () => {
    const lines: string[] = [];
    const log = new TroubleLog(
      (line) => lines.push(line),
      () => 0,
    );
    for (const address of ['2001:db8::a', '2001:db8::b']) log.say('no header', ` (from ${address})`);
    expect(lines).toEqual(['no header (from 2001:db8::a)']);
  });

  test('of ever new kinds is not remembered without end', () => {
    const lines: string[] = [];
    const log = new TroubleLog(
      (line) => lines.push(line),
      () => 0,
    );
    const kind = (i: number) => String.fromCharCode(0x4e00 + i);
    for (let i = 0; i < 1000; i++) log.say(kind(i));
    expect(lines).toHaveLength(1000);
    log.say(kind(999));
    expect(lines).toHaveLength(1000);
  });
});
