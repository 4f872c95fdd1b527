import { describe, expect, test } from '@jest/globals';
import { Turnstile } from './turnstile.ts';

describe('a turnstile', () => {
  test('lets in as many as there are places, the others in order', () => {
    const turnstile = new Turnstile(2);
    const log: string[] = [];
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => turnstile.enter(() => log.push(name)));
    expect([log.join(''), turnstile.inside, turnstile.waiting]).toEqual(['ab', 2, 2]);
    b!.leave();
    b!.leave();
    expect([log.join(''), turnstile.inside, turnstile.waiting]).toEqual(['abc', 2, 1]);
    a!.leave();
    c!.leave();
    d!.leave();
    expect([log.join(''), turnstile.inside, turnstile.waiting]).toEqual(['abcd', 0, 0]);
  });

  test('forgets who leaves while waiting', () => {
    const turnstile = new Turnstile(1);
    const log: string[] = [];
    const [a, b] = ['a', 'b', 'c'].map((name) => turnstile.enter(() => log.push(name)));
    b!.leave();
    a!.leave();
    expect([log.join(''), turnstile.inside, turnstile.waiting]).toEqual(['ac', 1, 0]);
  });

  test('can be waited for', async () => {
    const turnstile = new Turnstile(1);
    const first = await turnstile.entered();
    const second = turnstile.entered();
    expect([turnstile.inside, turnstile.waiting]).toEqual([1, 1]);
    first.leave();
    (await second).leave();
    expect([turnstile.inside, turnstile.waiting]).toEqual([0, 0]);
  });
});
