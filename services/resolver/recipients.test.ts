import { describe, expect, test } from '@jest/globals';
import { configSchema } from '#libs/config/schema.ts';
import { RecipientVerdict } from '#proto/postrider/v1/route.ts';
import { verdictOn } from './recipients.ts';
import { tableOf } from './route-table.ts';

const { LOCAL, UNKNOWN, RELAY } = RecipientVerdict;
const gateway = { maildir: '/mail' };

const table = tableOf(
  configSchema.parse({
    localDomains: [
      { name: 'few.example', recipients: ['Anna', 'bob+list', 'o b'], gateway },
      { name: 'all.example', gateway },
    ],
    routes: [{ domain: 'other.example', to: 'host.example:25' }],
  }),
);

describe('the verdict on', () => {
  test.each([
    ['anna@few.example', LOCAL, false],
    ['ANNA@Few.Example', LOCAL, false],
    ['anna+news@few.example', LOCAL, false],
    ['bob+list@few.example', LOCAL, false],
    ['"o b"@few.example', LOCAL, false],
    ['PostMaster@few.example', LOCAL, false],
    ['Postmaster', LOCAL, false],
    ['bob@few.example', UNKNOWN, false],
    ['bob+other@few.example', UNKNOWN, false],
    ['+anna@few.example', UNKNOWN, false],
    ['anyone@all.example', LOCAL, true],
    ['anna@other.example', RELAY, true],
    ['anna@under.few.example', RELAY, true],
    ['anna@[192.0.2.1]', RELAY, true],
  ])('%s is %p, for the whole domain: %p', (path, verdict, wholeDomain) => {
    expect(verdictOn(path, table)).toEqual({ verdict, wholeDomain, ttlMs: 300_000 });
  });

  test('Postmaster alone is unknown where nothing is local', () => {
    const nothing = tableOf(configSchema.parse({}));
    expect(verdictOn('Postmaster', nothing)).toMatchObject({ verdict: UNKNOWN, wholeDomain: false });
  });
});
