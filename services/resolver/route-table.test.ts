import { describe, expect, test } from '@jest/globals';
import { configSchema } from '#libs/config/schema.ts';
import { Transport } from '#proto/postrider/v1/route.ts';
import { configuredFor, tableOf } from './route-table.ts';

const { SMTP, LMTP } = Transport;

function table(config: object) {
  return tableOf(configSchema.parse(config));
}

describe('the table of routes', () => {
  const routes = table({
    localDomains: [
      { name: 'Home.example', gateway: { maildir: '/mail/{local}' } },
      { name: 'box.example', gateway: { lmtp: 'unix:/run/lmtp' } },
    ],
    routes: [
      { domain: 'one.example', to: 'Relay.Example:26' },
      { domain: '.example', to: '192.0.2.1:25' },
      { domain: '.deep.example', transport: 'lmtp', to: '[2001:DB8::1]:24' },
      { domain: '*', to: 'rest.example:25' },
    ],
  });

  test.each([
    ['home.example', { kind: 'maildir', template: '/mail/{local}' }],
    ['box.example', { kind: 'socket', transport: LMTP, path: '/run/lmtp' }],
    ['one.example', { kind: 'host', transport: SMTP, name: 'relay.example', port: 26 }],
    ['two.example', { kind: 'address', transport: SMTP, address: '192.0.2.1', port: 25 }],
    ['under.home.example', { kind: 'address', transport: SMTP, address: '192.0.2.1', port: 25 }],
    ['a.b.deep.example', { kind: 'address', transport: LMTP, address: '2001:db8::1', port: 24 }],
    ['deep.example', { kind: 'address', transport: SMTP, address: '192.0.2.1', port: 25 }],
    ['example', { kind: 'host', transport: SMTP, name: 'rest.example', port: 25 }],
    ['[192.0.2.7]', { kind: 'host', transport: SMTP, name: 'rest.example', port: 25 }],
    ['', { kind: 'maildir', template: '/mail/{local}' }],
  ])('sends %p to %j', (domain, destination) => {
    expect(configuredFor(domain, routes)).toEqual(destination);
  });

  test('says nothing where only DNS knows', () => {
    const small = table({ routes: [{ domain: 'one.example', to: 'relay.example:26' }] });
    expect(configuredFor('two.example', small)).toBeUndefined();
    expect(configuredFor('', small)).toBeUndefined();
    expect(configuredFor('a.b.example', table({ routes: [{ domain: '.c', to: 'd:1' }] }))).toBeUndefined();
  });

  test('gives the rest to the smart host', () => {
    const rest = table({ smartHost: 'smart.example:587' });
    const smart = { kind: 'host', transport: SMTP, name: 'smart.example', port: 587 };
    expect(configuredFor('two.example', rest)).toEqual(smart);
  });
});
