import { describe, expect, test } from '@jest/globals';
import { connected, dialog, FULL, given, lost, opened, passed, secured } from '#kit/client-dialog.ts';
import { isReady } from './client.machine.ts';
import type { ClientInput } from './client-session.ts';

describe('setting up', () => {
  test('greets, and is ready when nothing better is offered', () => {
    const { tell, session } = dialog();
    expect(tell(opened)).toEqual(['dial 0']);
    expect(tell(connected)).toEqual([]);
    expect(tell('220 mx')).toEqual(['EHLO me.example']);
    expect(isReady(session)).toBe(false);
    expect(tell(FULL.join('\r\n'))).toEqual(['tellReady']);
    expect(isReady(session)).toBe(true);
  });

  test('says HELO to a server that does not know EHLO, and never uses what HELO seems to offer', () => {
    const { tell } = dialog();
    expect(tell(opened, connected, '220 mx', '502 what?')).toEqual([
      'dial 0',
      'EHLO me.example',
      'HELO me.example',
    ]);
    expect(tell(FULL.join('\r\n'))).toEqual(['tellReady']);
    expect(tell(given)).toEqual(['MAIL FROM:<s@x>']);
  });

  test('says LHLO to LMTP, and has nothing else to say when it is refused', () => {
    const { tell } = dialog({ protocol: 'lmtp' });
    expect(tell(opened, connected, '220 mx')).toEqual(['dial 0', 'LHLO me.example']);
    expect(tell('500 what?')).toEqual(['dial 1']);
  });

  test('secures the connection where that is offered, and greets again', () => {
    const { tell, session } = dialog();
    expect(tell(opened, connected, '220 mx', '250-mx\r\n250-SIZE 5\r\n250 STARTTLS').slice(2)).toEqual([
      'STARTTLS',
    ]);
    expect(tell('220 go')).toEqual(['startTls']);
    expect(tell(secured)).toEqual(['EHLO me.example']);
    expect(tell('250-mx\r\n250 STARTTLS')).toEqual(['tellReady']);
    // What was said before the handshake is forgotten.
    expect(session.extensions.size).toBe('absent');
  });

  test('does not secure it against the policy', () => {
    expect(dialog({ tls: 'never' }).tell(opened, connected, '220 mx', '250-mx\r\n250 STARTTLS').at(-1)).toBe(
      'tellReady',
    );
  });

  const toStarttls = [opened, connected, '220 mx', '250-mx\r\n250 STARTTLS'];
  test.each<[string, (ClientInput | string)[]]>([
    ['STARTTLS is refused', ['454 not now']],
    ['STARTTLS is answered with 421', ['421 no']],
    ['the handshake fails', ['220 go', lost]],
    ['the server speaks before the handshake', ['220 go', '250 injected']],
    ['the connection is lost after the handshake', ['220 go', secured, lost]],
  ])('dials the same address once more without TLS when %s', (_, trouble) => {
    const { tell } = dialog();
    expect(tell(...toStarttls, ...trouble).at(-1)).toBe('dial 0');
    expect(tell(connected, '220 mx', '250-mx\r\n250 STARTTLS').at(-1)).toBe('tellReady');
  });

  test('goes to the next address, and wants TLS again there', () => {
    const { tell } = dialog();
    tell(...toStarttls, '454 not now');
    expect(tell(connected, '220 mx', lost)).toEqual(['EHLO me.example', 'dial 1']);
    expect(tell(connected, '220 mx', '250-mx\r\n250 STARTTLS').at(-1)).toBe('STARTTLS');
  });

  test.each<[string, (ClientInput | string)[]]>([
    ['cannot be reached', [{ kind: 'silent', silence: 'refused', detail: 'ECONNREFUSED' }]],
    ['does not greet', [connected, { kind: 'silent', silence: 'timed out', detail: '' }]],
    ['greets with 554', [connected, '554 no service']],
    ['greets with 421', [connected, '421 busy']],
    ['refuses EHLO for now', [connected, '220 mx', '450 later']],
    ['refuses EHLO and HELO', [connected, '220 mx', '500 what?', '500 what?']],
  ])('leaves an address that %s, and is down after the last', (_, trouble) => {
    const { tell } = dialog();
    expect(tell(opened, ...trouble).at(-1)).toBe('dial 1');
    const end = tell(...trouble);
    expect(end.slice(-2)).toEqual(['hangUp', expect.stringMatching(/^down \d+: $/)]);
    expect(tell(lost, connected, passed)).toEqual([]);
  });

  test('is down at once without an address', () => {
    expect(dialog({ targets: 0 }).tell(opened)).toEqual(['hangUp', 'down 0: ']);
  });

  test('can be dismissed', () => {
    expect(dialog().tell(opened, { kind: 'dismissed' }, connected)).toEqual(['dial 0', 'hangUp']);
  });
});
