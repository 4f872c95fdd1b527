import { describe, expect, test } from '@jest/globals';
import { connected, dialog, given, givenStreamed, lost, opened, passed, ready } from '#kit/client-dialog.ts';
import { patienceMs } from './client.machine.ts';
import type { ClientInput } from './client-session.ts';

describe('a ready session', () => {
  test('says goodbye when it is dismissed', () => {
    expect(ready().tell({ kind: 'dismissed' }, lost)).toEqual(['leave']);
  });

  test('is closed by silence, and by anything that is said to it', () => {
    expect(ready().tell(lost)).toEqual(['hangUp', 'closed: ']);
    expect(ready().tell('421 bye')).toEqual(['hangUp', 'closed: ']);
    expect(ready().tell('250 and another thing')).toEqual(['hangUp', 'closed: ']);
  });
});

describe('patience', () => {
  test('is that of the stage, and none while it is not the server’s turn', () => {
    const { tell, session } = ready();
    const seconds = () => patienceMs(session) / 1000;
    expect(seconds()).toBe(0);
    tell(given);
    expect(seconds()).toBe(300);
    tell('250 ok', '250 ok', '250 ok');
    expect(seconds()).toBe(120);
    tell('354 go');
    expect(seconds()).toBe(0);
    tell(passed);
    expect(seconds()).toBe(600);
    tell('250 ok', given, '250 ok', '550 no', '550 no', '354 go');
    expect(seconds()).toBe(600);
    tell('250 ok', givenStreamed, '250 ok', '250 ok', '250 ok', '354 go');
    expect(seconds()).toBe(180);
    tell(lost);
    expect(seconds()).toBe(0);
    const other = ready();
    other.tell(given, '250 ok', '550 no', '550 no', '554 no');
    expect(patienceMs(other.session)).toBe(0);
    other.tell(given);
    expect(patienceMs(other.session)).toBe(20_000);
    const early = dialog();
    early.tell(opened);
    expect(patienceMs(early.session)).toBe(30_000);
  });
});

describe('a fact that cannot happen', () => {
  const nonsense: ClientInput = { kind: 'streamed' };
  test.each<[string, (ClientInput | string)[], ClientInput]>([
    ['connecting', [], nonsense],
    ['idle', [], nonsense],
    ['addressing', [given], nonsense],
    ['passing', [given, '250 ok', '250 ok', '250 ok', '354 go'], nonsense],
    ['ending', [given, '250 ok', '250 ok', '250 ok', passed, '354 go'], nonsense],
    ['emptying', [given, '250 ok', '550 no', '550 no', '354 go'], nonsense],
    ['streaming', [givenStreamed, '250 ok', '250 ok', '250 ok', '354 go'], connected],
  ])('while %s is a bug of the shell', (name, way, input) => {
    const { tell } = name === 'connecting' ? dialog() : ready();
    if (name === 'connecting') tell(opened);
    tell(...way);
    expect(() => tell(input)).toThrow(`${input.kind} cannot happen while ${name}`);
  });
});
