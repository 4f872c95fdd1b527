import { describe, expect, test } from '@jest/globals';
import {
  type Fate,
  replyOfSilence,
  ruleOnReply,
  ruleOnSize,
  type Silence,
  STAGE_TIMEOUT_MS,
  type Stage,
} from './outcome-table.ts';

const STAGES = Object.keys(STAGE_TIMEOUT_MS) as Stage[];
const BEFORE_MAIL: Stage[] = ['connect', 'greeting', 'hello', 'starttls', 'handshake'];
const OF_MAIL = STAGES.filter((stage) => !BEFORE_MAIL.includes(stage));

describe('the ruling on a reply', () => {
  test.each(STAGES)('at %s lets only the right class go on', (stage) => {
    const right = stage === 'data' ? 354 : 250;
    const wrong = stage === 'data' ? 250 : 354;
    expect(ruleOnReply(stage, right)).toEqual({ fate: 'accepted', session: 'goes on' });
    expect(ruleOnReply(stage, wrong)).toMatchObject({ fate: 'deferred' });
    expect(ruleOnReply(stage, wrong).session).not.toBe('goes on');
  });

  test.each(BEFORE_MAIL)('at %s never fails a mail: the host does not serve us', (stage) => {
    for (const code of [421, 450, 500, 521, 550, 554]) {
      expect(ruleOnReply(stage, code)).toEqual({ fate: 'deferred', session: 'host down' });
    }
  });

  test.each(OF_MAIL)('at %s: 421 ends the session, class 4 defers, class 5 fails', (stage) => {
    expect(ruleOnReply(stage, 421)).toEqual({ fate: 'deferred', session: 'host down' });
    expect(ruleOnReply(stage, 450)).toEqual({ fate: 'deferred', session: 'goes on' });
    expect(ruleOnReply(stage, 499)).toEqual({ fate: 'deferred', session: 'goes on' });
    expect(ruleOnReply(stage, 550)).toEqual({ fate: 'failed', session: 'goes on' });
    expect(ruleOnReply(stage, 599)).toEqual({ fate: 'failed', session: 'goes on' });
  });

  test('552 to RCPT means too many recipients, elsewhere too much data', () => {
    expect(ruleOnReply('rcpt', 552).fate).toBe('deferred');
    expect(ruleOnReply('dot', 552).fate).toBe('failed');
    expect(ruleOnReply('mail', 552).fate).toBe('failed');
  });

  test('a fate other than accepted never comes from class 2 at the final dot', () => {
    for (let code = 200; code < 600; code++) {
      const expected: Fate = code < 300 ? 'accepted' : code >= 500 ? 'failed' : 'deferred';
      expect(ruleOnReply('dot', code).fate).toBe(expected);
    }
  });
});

describe('the ruling on a size', () => {
  test('refuses what the server says it does not take', () => {
    expect(ruleOnSize(1001, 1000)).toMatchObject({
      fate: 'failed',
      reply: { code: 552, enhanced: '5.3.4' },
    });
    expect(ruleOnSize(1000, 1000)).toBeUndefined();
    expect(ruleOnSize(1_000_000_000, 0)).toBeUndefined();
  });
});

describe('words for silence', () => {
  test.each(STAGES)('are temporary at %s and say where it was', (stage) => {
    for (const silence of ['lost', 'timed out', 'malformed', 'refused'] satisfies Silence[]) {
      const reply = replyOfSilence(stage, silence, 'mx[192.0.2.1]');
      expect(reply.code).toBe(0);
      expect(reply.enhanced).toMatch(/^4\.[45]\.\d$/);
      expect(reply.text).toMatch(/: mx\[192\.0\.2\.1\]$/);
    }
  });

  test('need no detail', () => {
    expect(replyOfSilence('dot', 'timed out', '').text).toBe('timed out after the end of the mail data');
    expect(replyOfSilence('connect', 'refused', '').text).toBe('cannot connect');
  });
});
