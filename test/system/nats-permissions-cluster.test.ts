// A whole cluster in which every service is a NATS user of its own and none makes a stream: everything that it does for mail and
// operators happens without one refusal.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { freePort } from '#kit/cluster-ports.ts';
import { LISTENER, LOCAL, Stage } from '#kit/cluster-stage.ts';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { makeNatsUsers, type NatsUsers } from '#kit/nats-users.ts';
import { RawClient } from '#kit/raw-client.ts';
import { callApi } from '#libs/nats/api.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { run } from '../../services/console/command-line.ts';

jest.setTimeout(60_000);

const SMOKE = 'helm-test.postrider.invalid';
const LARGE = Buffer.from(`Subject: large\r\n\r\n${'0123456789abcdef\r\n'.repeat(90_000)}`);
const nats = { spoolStreams: 2, spoolSizeMax: '64 MiB' };
const folder = mkdtempSync(join(tmpdir(), 'postrider-users-'));

let server: NatsServer;
let users: NatsUsers;
let stage: Stage;
let looker: Link;
let smokePort: number;

beforeAll(async () => {
  users = makeNatsUsers(folder, nats);
  server = await startNats({ more: users.authorization });
  const { url } = server;
  const config = join(folder, 'provision.yaml');
  writeFileSync(config, stringify({ nats: { ...nats, url, credentials: users.credentialsOf('provision') } }));
  const { code, out } = await postrider('provision', '--config', config);
  expect([code, out]).toEqual([0, expect.stringMatching(/^SPOOL_0 {5}made\n(.* made\n){8}$/)]);
  looker = await connectLink({ url, service: 'provision', credentials: users.credentialsOf('provision') });
  smokePort = await freePort();
  stage = await Stage.open({
    instances: { queue: 2, delivery: 2 },
    // A pack is removed 15 s after nobody can repeat it any more.
    config: { nats: { ...nats, provision: 'check' }, limits: { commitWaitMax: '1 s' } },
    routes: [{ domain: SMOKE, to: `127.0.0.1:${smokePort}` }],
    nats: { url, credentials: (service) => users.credentialsOf(service) },
  });
});

afterAll(async () => {
  await stage?.close();
  await looker?.close();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

async function postrider(...args: string[]) {
  const said = { out: '', err: '', code: -1 };
  said.code = await run(['node', 'postrider', ...args], {
    env: {},
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    now: Date.now,
  });
  return said;
}

/** Records in all streams of this kind. */
async function recordsIn(kind: 'SPOOL' | 'STORE'): Promise<number> {
  let records = 0;
  for (const k of [0, 1]) {
    const call = `STREAM.INFO.${kind}_${k}`;
    const info = await callApi<{ state: { messages: number } }>(looker, call, undefined, 3000);
    if (info.kind !== 'ok') throw new Error(`${kind}_${k}: ${info.kind}`);
    records += info.value.state.messages;
  }
  return records;
}

const untilEmpty = (kind: 'SPOOL' | 'STORE', withinMs: number) =>
  stage.cluster.until(
    `${kind} empty`,
    async () => ((await recordsIn(kind)) === 0 ? true : undefined),
    withinMs,
  );

describe('With a NATS user per service', () => {
  test('mail goes through: small and large, to a host and to residents', async () => {
    await stage.send({ to: ['a@sink.test', 'b@sink.test'] });
    await stage.send({ to: `bob@${LOCAL}`, reversePath: 'x@sink.test', listener: 'mx' });
    await stage.send({ to: 'large@sink.test', data: LARGE });
    const mails = await stage.relayed(2);
    expect(mails.map(({ data }) => data.length > LARGE.length)).toContain(true);
    expect(await stage.delivered('bob', 1)).toHaveLength(1);
    await stage.settled();
    await untilEmpty('STORE', 10_000);
  });

  test('a large mail that its client breaks off leaves nothing behind', async () => {
    const client = await RawClient.greeted(stage.cluster.smtpPort(LISTENER.relay));
    await client.say('MAIL FROM:<x@sink.test>', 'RCPT TO:<y@sink.test>', 'DATA');
    client.write(LARGE);
    await stage.cluster.until('chunks', async () => ((await recordsIn('STORE')) > 0 ? true : undefined));
    client.socket.destroy();
    await untilEmpty('STORE', 10_000);
  });

  test('what is deferred is stored, listed and tried again; what fails is reported', async () => {
    const taken = stage.sink.taken;
    const id = await stage.send({ to: '450-then-250@sink.test' });
    const admin = ['--admin', stage.cluster.adminAddress(1)];
    const listed = async () =>
      (await postrider('queue', 'ls', ...admin)).out.includes(id) ? true : undefined;
    await stage.cluster.until('the mail is listed', listed);
    expect(await postrider('queue', 'flush', '--all', ...admin)).toMatchObject({ code: 0, err: '' });
    await stage.relayed(taken + 1);
    await stage.send({ to: '550@sink.test' });
    expect(String((await stage.delivered('alice', 1))[0])).toContain('multipart/report');
    await stage.settled();
  });

  test('postrider smoke is content', async () => {
    const places = `--smtp 127.0.0.1:${stage.cluster.smtpPort(LISTENER.relay)} --listen 127.0.0.1:${smokePort}`;
    const line = `smoke ${places} --domain ${SMOKE} --admin ${stage.cluster.adminAddress()} --timeout 30`;
    const { code, err } = await postrider(...line.split(' '));
    expect([code, err]).toEqual([0, '']);
  });

  test('a queue instance takes over from one that is killed, and workers from one that stops', async () => {
    const taken = stage.sink.taken;
    const ids = [];
    for (let i = 0; i < 10; i++) ids.push(await stage.send({ to: `450-then-450-then-250@sink.test` }));
    await stage.cluster.kill('queue', 0);
    expect(await stage.cluster.process('delivery', 0).stop()).toBe(true);
    await stage.relayed(taken + 10, 30_000);
    await stage.cluster.restart('queue', 0);
    await stage.cluster.restart('delivery', 0);
    await stage.settled();
    expect(new Set(stage.sink.mails.slice(taken).map(({ queueId }) => queueId))).toEqual(new Set(ids));
  });

  test('everybody comes back to a nats-server that was killed, and packs go when they are settled', async () => {
    const taken = stage.sink.taken;
    await server.kill('SIGKILL');
    await server.restart();
    await stage.cluster.until('a mail is accepted', () =>
      stage.send({ to: 'c@sink.test' }).catch(() => undefined),
    );
    await stage.relayed(taken + 1);
    await stage.settled();
    await untilEmpty('SPOOL', 40_000);
  });

  test('the server refused nothing', async () => {
    const refused = (text: string) => text.split('\n').filter((line) => /violation/i.test(line));
    expect(refused(await server.log())).toEqual([]);
    expect(stage.cluster.processes().flatMap((one) => refused(one.log()))).toEqual([]);
  });
});
