// A link with credentials and TLS, to real servers that demand them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { nkeys } from '@nats-io/nats-core';
import { testCertificate, testKey } from '#kit/certificate.ts';
import { freePort } from '#kit/cluster-ports.ts';
import { type LoneService, startLone } from '#kit/lone-service.ts';
import { jwtWorld } from '#kit/nats-jwt.ts';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { connectLink, type Link, type LinkOptions } from '#libs/nats/link.ts';

const MINUTE = 60_000;
const folder = mkdtempSync(join(tmpdir(), 'postrider-link-'));
const opened: Link[] = [];
const servers: NatsServer[] = [];

/** A file in the folder of this test. */
function fileWith(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

async function server(more: string): Promise<NatsServer> {
  const nats = await startNats({ more });
  servers.push(nats);
  return nats;
}

async function open(options: Omit<LinkOptions, 'service'>): Promise<Link> {
  const link = await connectLink({ tryForMs: 300, ...options, service: 'test' });
  opened.push(link);
  return link;
}

/** True when the link can do something. */
async function works(link: Link): Promise<boolean> {
  const echo = link.subscribe('echo', (message) => link.publish(message.reply, message.data));
  const answer = await link.request('echo', Buffer.from('x'), 1000);
  echo.unsubscribe();
  return answer.kind === 'answer';
}

const userLine = (user: string, password: string) =>
  `authorization { users: [ { user: ${user}, password: ${password} } ] }`;

afterEach(async () => {
  for (const link of opened.splice(0)) await link.close();
  for (const nats of servers.splice(0)) await nats.stop();
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('Credentials', () => {
  test('are a user and a password in files, without the white space around them', async () => {
    const nats = await server(userLine('ingress', 'secret'));
    const credentials = { userFile: fileWith('u', 'ingress\n'), passwordFile: fileWith('p', ' secret\n') };
    expect(await works(await open({ url: nats.url, credentials }))).toBe(true);
  });

  test('are an nkey seed', async () => {
    const pair = nkeys.createUser();
    const nats = await server(`authorization { users: [ { nkey: ${pair.getPublicKey()} } ] }`);
    const seed = Buffer.from(pair.getSeed()).toString();
    const credentials = { nkeySeedFile: fileWith('seed', `${seed}\n`) };
    expect(await works(await open({ url: nats.url, credentials }))).toBe(true);
  });

  test('are a .creds file', async () => {
    const { more, creds } = jwtWorld();
    const nats = await server(more);
    const credentials = { credsFile: fileWith('test.creds', creds) };
    expect(await works(await open({ url: nats.url, credentials }))).toBe(true);
  });

  test('that are refused, or missing, are named with their keys and files', async () => {
    const nats = await server(userLine('ingress', 'secret'));
    const [userFile, passwordFile] = [fileWith('u', 'ingress'), fileWith('wrong', 'guess')];
    await expect(open({ url: nats.url, credentials: { userFile, passwordFile } })).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringContaining(`nats.credentials.passwordFile: ${passwordFile}`),
    });
    await expect(open({ url: nats.url })).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('without credentials (see nats.credentials)'),
    });
    const missing = join(folder, 'missing');
    const credentials = { userFile, passwordFile: missing };
    await expect(open({ url: nats.url, credentials })).rejects.toMatchObject({
      kind: 'unreadable',
      message: `nats.credentials.passwordFile: ${missing} cannot be read (ENOENT)`,
    });
    const seed = { nkeySeedFile: fileWith('noseed', 'SUNONSENSE') };
    const said: string[] = [];
    const refused = open({ url: nats.url, credentials: seed, onStatus: (words) => said.push(words) });
    await expect(refused).rejects.toMatchObject({ kind: 'refused' });
    expect(said.some((words) => words.includes(`${seed.nkeySeedFile} cannot be used`))).toBe(true);
  });

  test('that change while the service runs are read again until they fit', async () => {
    const nats = await server(userLine('ingress', 'before'));
    const [userFile, passwordFile] = [fileWith('u', 'ingress'), fileWith('rotating', 'before')];
    const said: string[] = [];
    const link = await open({
      url: nats.url,
      credentials: { userFile, passwordFile },
      onStatus: (words) => said.push(words),
    });
    await nats.reload(userLine('ingress', 'after'));
    await waitUntil(() => said.filter((words) => words.includes('Authorization Violation')).length > 0, 5000);
    expect(link.connected).toBe(false);
    writeFileSync(passwordFile, 'after');
    await waitUntil(() => link.connected, 5000);
    expect(await works(link)).toBe(true);
  });
});

describe('TLS', () => {
  let certificate: string;
  let key: string;
  const tlsLine = (more: string) => `tls { cert_file: "${certificate}", key_file: "${key}", ${more} }`;

  beforeAll(() => {
    certificate = fileWith('certificate.pem', testCertificate);
    key = fileWith('key.pem', testKey);
  });

  test('trusts the authority in a file, and nobody else', async () => {
    const nats = await server(tlsLine(''));
    const port = nats.port;
    expect(await works(await open({ url: `tls://localhost:${port}`, tls: { ca: certificate } }))).toBe(true);
    await expect(open({ url: `tls://localhost:${port}` })).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringContaining("the system's authorities (see nats.tls)"),
    });
    const garbage = fileWith('garbage.pem', 'garbage');
    await expect(open({ url: nats.url, tls: { ca: garbage } })).rejects.toMatchObject({ kind: 'refused' });
    await expect(open({ url: nats.url, tls: { ca: '/nowhere' } })).rejects.toMatchObject({
      message: 'nats.tls.ca: /nowhere cannot be read (ENOENT)',
    });
  });

  test('shows a certificate to a server that demands one', async () => {
    const nats = await server(tlsLine(`ca_file: "${certificate}", verify: true`));
    const tls = { ca: certificate, certificate, key };
    expect(await works(await open({ url: nats.url, tls }))).toBe(true);
    await expect(open({ url: nats.url, tls: { ca: certificate } })).rejects.toThrow(nats.url);
  }, 20_000);

  test('is never left out where the URL or the configuration asks for it', async () => {
    const nats = await server('');
    const url = nats.url.replace('nats:', 'tls:');
    await expect(open({ url })).rejects.toMatchObject({ kind: 'refused' });
    await expect(open({ url: nats.url, tls: { ca: certificate } })).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringContaining("server does not support 'tls'"),
    });
  });
});

describe('Several servers', () => {
  test('are tried until one answers', async () => {
    const nats = await server('');
    const nobody = `nats://127.0.0.1:${await freePort()}`;
    expect(await works(await open({ url: `${nobody}, ${nats.url}` }))).toBe(true);
    await expect(open({ url: nobody })).rejects.toMatchObject({ kind: 'away' });
  });
});

describe('A subject that is none', () => {
  test.each(['', 'outcome-ack.a b', 'outcome-ack.a\r\nPING', 'queue.0.m.\t'])(
    '(%j) is sent nothing, with a word, and everything else goes on',
    async (subject) => {
      const nats = await server('');
      const said: string[] = [];
      const link = await open({ url: nats.url, onStatus: (words) => said.push(words) });
      expect(link.publish(subject, Buffer.from('x'))).toBe(false);
      expect(link.publishRecord(subject, Buffer.from('x'), { 'Nats-Msg-Id': '1' })).toBe(false);
      expect(await link.request(subject, Buffer.from('x'), 1000)).toEqual({ kind: 'nobody' });
      expect(await link.scatter(subject, Buffer.from('x'), { expected: 1, timeoutMs: 200 })).toEqual([]);
      expect(said).toEqual([`error: nothing can be sent to ${JSON.stringify(subject)}`]);
      expect(await works(link)).toBe(true);
    },
  );
});

describe('A service', () => {
  test(
    'that NATS refuses, or that cannot read a file, ends after half a minute and says why',
    async () => {
      const nats = await server(userLine('ingress', 'secret'));
      const wrong = fileWith('wrong', 'guess');
      const start = (passwordFile: string): LoneService =>
        startLone({
          service: 'resolver',
          folder: mkdtempSync(join(folder, 'lone-')),
          configText: `nats: { credentials: { userFile: "${fileWith('u', 'ingress')}", passwordFile: "${passwordFile}" } }`,
          env: { NATS_URL: nats.url },
        });
      const [refused, unreadable] = [start(wrong), start('/nowhere/password')];
      expect(await Promise.all([refused.ended, unreadable.ended])).toEqual(['code 1', 'code 1']);
      const last = (service: LoneService) => service.lines().at(-1);
      expect(last(refused)).toMatchObject({
        level: 'fatal',
        msg: expect.stringContaining(`nats.credentials.passwordFile: ${wrong}`),
      });
      expect(last(unreadable)).toMatchObject({
        level: 'fatal',
        msg: 'nats.credentials.passwordFile: /nowhere/password cannot be read (ENOENT)',
      });
    },
    MINUTE,
  );
});
