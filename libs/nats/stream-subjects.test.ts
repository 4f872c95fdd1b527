import { describe, expect, test } from '@jest/globals';
import type { Answer } from './link.ts';
import { subjectsAtLeader } from './stream-subjects.ts';

/** A leader that answers one page after the other; nothing more when it has none left. */
function leader(...pages: object[]) {
  const asked: unknown[] = [];
  const request = async (subject: string, payload: Uint8Array): Promise<Answer> => {
    asked.push([subject, JSON.parse(Buffer.from(payload).toString())]);
    const page = pages.shift();
    if (page === undefined) return { kind: 'timeout' };
    return { kind: 'answer', data: Buffer.from(JSON.stringify(page)) };
  };
  return { asked, link: { request } };
}

describe('The subjects that a leader knows', () => {
  test('are gathered page by page', async () => {
    const { asked, link } = leader(
      { state: { last_seq: 7, subjects: { 'q.a': 1, 'q.b': 2 } }, total: 3 },
      { state: { last_seq: 9, subjects: { 'q.c': 1 } }, total: 3 },
    );
    expect(await subjectsAtLeader(link, 'QUEUE', 'q.*')).toEqual({
      subjects: new Set(['q.a', 'q.b', 'q.c']),
      lastSequence: 7,
    });
    expect(asked).toEqual([
      ['$JS.API.STREAM.INFO.QUEUE', { subjects_filter: 'q.*', offset: 0 }],
      ['$JS.API.STREAM.INFO.QUEUE', { subjects_filter: 'q.*', offset: 2 }],
    ]);
  });

  test('are none where none has records', async () => {
    const { link } = leader({ state: { last_seq: 7 } });
    expect(await subjectsAtLeader(link, 'QUEUE', 'q.*')).toEqual({ subjects: new Set(), lastSequence: 7 });
  });

  test('are not known when it does not answer, or not to the end', async () => {
    expect(await subjectsAtLeader(leader().link, 'QUEUE', 'q.*')).toBeUndefined();
    const half = leader({ state: { last_seq: 7, subjects: { 'q.a': 1 } }, total: 2 });
    expect(await subjectsAtLeader(half.link, 'QUEUE', 'q.*')).toBeUndefined();
    const error = leader({ error: { code: 503, err_code: 10008 } });
    expect(await subjectsAtLeader(error.link, 'QUEUE', 'q.*')).toBeUndefined();
  });
});
