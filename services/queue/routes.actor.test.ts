import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { Answer } from '#libs/nats/link.ts';
import { type Route, RouteAnswer, RouteRequest, type Site, Transport } from '#proto/postrider/v1/route.ts';
import type { RouteResult } from './message.machine.ts';
import { Routes } from './routes.actor.ts';

const SITE: Site = { key: 'smtp:mx:25', transport: Transport.SMTP, hosts: [], maildir: '' };
const GONE = { code: 556, enhanced: '5.1.10', text: 'null MX', host: '' };
const nextTurn = () => new Promise((done) => setImmediate(done));

const toSite = (domain: string): Route => ({ domain, ttlMs: 5000, result: { $case: 'site', value: SITE } });
const answerOf = (...routes: Route[]): Answer => ({
  kind: 'answer',
  data: RouteAnswer.encode({ routes }).finish(),
});

function bench() {
  const asked: string[][] = [];
  const answers: Answer[] = [];
  const clock = { nowMs: 0 };
  const heard: [string, RouteResult][] = [];
  const link = {
    request: async (_: string, payload: Uint8Array): Promise<Answer> => {
      const { domains } = RouteRequest.decode(payload);
      asked.push(domains);
      return answers.shift() ?? answerOf(...domains.map(toSite));
    },
  };
  const routes = new Routes(link, () => clock.nowMs);
  const lookUp = (domain: string) =>
    routes.lookUp(domain, { trace: undefined, queueId: 'q1' }, (name, result) => heard.push([name, result]));
  return { routes, asked, answers, clock, heard, lookUp };
}

afterEach(() => {
  jest.useRealTimers();
});

describe('routes', () => {
  test('are asked for once, however many mails wait, and kept as long as the answer allows', async () => {
    const { asked, heard, lookUp, clock } = bench();
    expect(lookUp('a.example')).toBeUndefined();
    expect(lookUp('a.example')).toBeUndefined();
    await nextTurn();
    await nextTurn();
    expect(asked).toEqual([['a.example']]);
    expect(heard).toEqual(Array(2).fill(['a.example', { kind: 'site', site: SITE }]));
    clock.nowMs = 4999;
    expect(lookUp('a.example')).toEqual({ kind: 'site', site: SITE });
    clock.nowMs = 5000;
    expect(lookUp('a.example')).toBeUndefined();
  });

  test('are asked for a few at a time, so that a slow one holds few others back', async () => {
    const { asked, heard, lookUp } = bench();
    for (let i = 0; i < 20; i++) lookUp(`d${i}.example`);
    await nextTurn();
    await nextTurn();
    expect(asked.map((domains) => domains.length)).toEqual([8, 8, 4]);
    expect(heard).toHaveLength(20);
  });

  test('may be failures or deferrals, and what is no answer to our question defers', async () => {
    const { answers, heard, lookUp } = bench();
    answers.push(
      answerOf(
        { domain: 'a.example', ttlMs: 1, result: { $case: 'failed', value: GONE } },
        { domain: 'b.example', ttlMs: 1, result: { $case: 'deferred', value: GONE } },
        { domain: 'c.example', ttlMs: 1, result: undefined },
      ),
    );
    for (const name of ['a', 'b', 'c', 'd']) lookUp(`${name}.example`);
    await nextTurn();
    await nextTurn();
    expect(heard.map(([name, { kind }]) => [name[0], kind])).toEqual([
      ['a', 'failed'],
      ['b', 'deferred'],
      ['c', 'deferred'],
      ['d', 'deferred'],
    ]);
  });

  test.each<[string, Answer]>([
    ['there is no resolver', { kind: 'nobody' }],
    ['nobody answers in time', { kind: 'timeout' }],
    ['the answer is nonsense', { kind: 'answer', data: Buffer.from([0xff, 0xff, 0xff]) }],
  ])('are asked for again when %s', async (_, trouble) => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
    const { answers, asked, heard, lookUp } = bench();
    answers.push(trouble);
    lookUp('a.example');
    await nextTurn();
    await nextTurn();
    expect(heard).toEqual([]);
    await jest.advanceTimersByTimeAsync(1000);
    await nextTurn();
    expect(asked).toEqual([['a.example'], ['a.example']]);
    expect(heard).toHaveLength(1);
  });

  test('are told to very many mails over several turns', async () => {
    const { heard, lookUp } = bench();
    for (let i = 0; i < 12_000; i++) lookUp('a.example');
    await nextTurn();
    await nextTurn();
    expect(heard.length).toBeLessThan(12_000);
    await nextTurn();
    await nextTurn();
    expect(heard).toHaveLength(12_000);
  });

  test('are told to nobody after the stop', async () => {
    const { routes, heard, lookUp } = bench();
    lookUp('a.example');
    routes.stop();
    await nextTurn();
    await nextTurn();
    expect(heard).toEqual([]);
  });
});
