import { describe, expect, test } from '@jest/globals';
import { refusalNames, refusalReply } from './route-replies.ts';

describe('the refusals', () => {
  test.each(refusalNames)('%s has a code, an enhanced code of its class, and words in ASCII', (name) => {
    const { code, enhanced, text, host } = refusalReply(name, 'example.net');
    expect(enhanced).toMatch(new RegExp(`^${String(code)[0]}\\.\\d{1,3}\\.\\d{1,3}$`));
    expect(text).toMatch(/^[\x20-\x7e]+: example\.net$/);
    expect(host).toBe('');
  });

  test('defer what is not the fault of the domain', () => {
    const deferring = refusalNames.filter((name) => refusalReply(name, '').code < 500);
    expect(deferring).toEqual(['troubledDns', 'troubledConfiguration']);
  });
});
