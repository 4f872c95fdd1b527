import { describe, expect, test } from '@jest/globals';
import { run } from './command-line.ts';

const QUEUE_ID = '040mwvuyh1pdq92g0001';

/** Nothing is asked: every line is refused before. */
async function refused(line: string): Promise<string> {
  let err = '';
  const surroundings = { env: {}, out: () => {}, err: (text: string) => (err += text), now: () => 0 };
  const code = await run(['node', 'postrider', ...line.split(' ')], surroundings);
  expect(code).toBe(1);
  return err;
}

describe('postrider trace show', () => {
  test.each(['short', `${QUEUE_ID}x`, QUEUE_ID.toUpperCase()])('refuses %s as a queue id', async (text) => {
    expect(await refused(`trace show ${text}`)).toContain('expected the 20 characters after "queued as".');
  });

  test.each(['127.0.0.1:16686', 'ftp://jaeger.test', '//'])(
    'refuses %s as the URL of Jaeger',
    async (url) => {
      const said = await refused(`trace show ${QUEUE_ID} --jaeger ${url}`);
      expect(said).toContain('expected a URL such as http://127.0.0.1:16686.');
    },
  );
});
