import { describe, expect, test } from '@jest/globals';
import { spoolStream, storeStream, subjects } from './layout.ts';
import {
  allows,
  authorizationText,
  type NatsUser,
  natsUsers,
  type Permissions,
  permissionsOf,
  permissionTable,
} from './permissions.ts';
import { streamsOf } from './streams.ts';

const layout = { partitions: 4, spoolStreams: 2, replicas: 1, spoolSizeMax: 1000 };
const names = streamsOf(layout).map(({ name }) => name);
const mayPublish = (subject: string) =>
  natsUsers.filter((user) => allows(permissionsOf(user, layout).publish, subject));
const maySubscribe = (subject: string) =>
  natsUsers.filter((user) => allows(permissionsOf(user, layout).subscribe, subject));

/** Who answers to itself, or has nothing else to publish. */
const ownOnly = (user: NatsUser) => (['queue', 'resolver', 'console'].includes(user) ? [user] : []);

describe('The table of permissions', () => {
  test.each([
    [subjects.spool(3), ['ingress', 'queue'], []],
    [subjects.store(3), ['ingress', 'queue'], []],
    [subjects.settle(3), ['queue'], []],
    [subjects.owner(3), ['queue'], []],
    [subjects.mail(3, 'id'), ['queue'], []],
    [subjects.deliver(3), ['queue'], ['delivery']],
    [subjects.outcome(3), ['delivery'], ['queue']],
    [subjects.checkpoint(3), ['queue', 'delivery'], ['queue']],
    [subjects.fence(3), ['queue'], []],
    [subjects.inflight(3), ['queue'], ['delivery']],
    [subjects.outcomeAck('delivery-1'), ['queue'], ['delivery']],
    [subjects.presence('queue'), ['queue'], ['queue', 'delivery']],
    [subjects.presence('delivery'), ['delivery'], ['queue', 'delivery']],
    [subjects.traceRules, ['queue'], []],
    [subjects.resolveRoute, ['queue'], ['resolver']],
    [subjects.resolveRecipient, ['ingress'], ['resolver']],
  ])('says who publishes %s and who hears it', (subject, publishers, subscribers) => {
    expect([mayPublish(subject), maySubscribe(subject)]).toEqual([publishers, subscribers]);
  });

  test('gives everybody an inbox of their own, and nobody another one', () => {
    for (const user of natsUsers) {
      expect(maySubscribe(`_INBOX.${user}.${user}-1.answer.x`)).toEqual([user]);
      expect(mayPublish(`_INBOX.${user}.${user}-1.answer.x`)).toEqual(ownOnly(user));
    }
  });

  test.each([
    ['CREATE', ['provision']],
    ['UPDATE', ['provision']],
    ['RESTORE', []],
    ['SNAPSHOT', []],
    ['LEADER.STEPDOWN', []],
  ])('lets streams be told %s by %j', (call, users) => {
    for (const name of names) expect(mayPublish(`$JS.API.STREAM.${call}.${name}`)).toEqual(users);
  });

  test('lets nobody delete a stream that has mail in it', () => {
    const deletable = names.filter((name) => mayPublish(`$JS.API.STREAM.DELETE.${name}`).length > 0);
    expect(deletable).toEqual(['CHECKPOINTS']);
    expect(mayPublish('$JS.API.STREAM.DELETE.CHECKPOINTS')).toEqual(['provision']);
  });

  test('lets what cannot be read be put aside, looked at and dropped by the queue alone', () => {
    for (const call of ['STREAM.MSG.GET', 'STREAM.MSG.DELETE', 'DIRECT.GET']) {
      expect(mayPublish(`$JS.API.${call}.QUARANTINE`)).toEqual(['queue']);
    }
    expect(mayPublish('quarantine.0')).toEqual(['queue']);
  });

  test('lets checkpoints be read by who passes them and who acts on them, and be removed by the latter', () => {
    expect(mayPublish('$JS.API.STREAM.MSG.GET.CHECKPOINTS')).toEqual(['queue', 'delivery']);
    expect(mayPublish('$JS.API.STREAM.PURGE.CHECKPOINTS')).toEqual(['queue']);
  });

  test.each([
    ['$JS.API.STREAM.PURGE', ['queue'], [], ['queue'], ['queue'], []],
    ['$JS.API.STREAM.MSG.DELETE', ['queue'], ['ingress', 'queue'], [], ['queue'], []],
    [
      '$JS.API.STREAM.MSG.GET',
      ['queue', 'delivery'],
      ['queue', 'delivery'],
      ['queue'],
      ['queue'],
      ['ingress', 'queue'],
    ],
    ['$JS.API.DIRECT.GET', ['queue', 'delivery'], ['queue', 'delivery'], [], [], []],
  ])('lets %s be used where it is needed', (call, spool, store, settle, queue, rules) => {
    const wanted = { SPOOL_1: spool, STORE_1: store, SETTLE: settle, QUEUE: queue, RULES: rules };
    const given = Object.keys(wanted).map((name) => [name, mayPublish(`${call}.${name}`)]);
    expect(Object.fromEntries(given)).toEqual(wanted);
  });

  test('names no stream outside the layout', () => {
    for (const stream of ['SPOOL_2', 'STORE_2', 'KV_x']) {
      expect(mayPublish(`$JS.API.DIRECT.GET.${stream}`)).toEqual([]);
      expect(mayPublish(`$JS.API.STREAM.CREATE.${stream}`)).toEqual([]);
    }
    expect(names).toContain(spoolStream(3, layout));
    expect(names).toContain(storeStream(3, layout));
  });

  test('has no empty list, which nats-server takes for everything', () => {
    const lists = natsUsers.flatMap((user) => {
      const { publish, subscribe }: Permissions = permissionTable[user];
      return [publish.allow, subscribe.allow];
    });
    expect(lists.filter((list) => list.length === 0)).toEqual([]);
  });
});

describe('Its rendering for nats-server', () => {
  test('has one line per user, by password or by key, with every stream spelled out', () => {
    const logins = {
      ingress: { nkey: 'UABC' },
      queue: { password: 'a"b' },
      resolver: { password: 'c' },
      delivery: { password: 'd' },
      console: { password: 'e' },
      provision: { password: 'f' },
    };
    const lines = authorizationText(layout, logins).trim().split('\n');
    expect([lines[0], lines.at(-1)]).toEqual(['authorization: { users: [', '] }']);
    const users = lines.slice(1, -1).map((line) => JSON.parse(line));
    expect(users.map(({ user, nkey }) => user ?? nkey)).toEqual(['UABC', ...natsUsers.slice(1)]);
    expect(users[1]).toMatchObject({ user: 'queue', password: 'a"b' });
    expect(JSON.stringify(users)).not.toContain('<k>');
    expect(users[3].permissions.publish.allow).toContain('$JS.API.DIRECT.GET.STORE_1');
  });
});
