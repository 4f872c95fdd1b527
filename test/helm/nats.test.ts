// Our own NATS as the chart configures it: a real nats-server reads the files, and services log in with theirs.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { freePorts } from '#kit/cluster-ports.ts';
import { callApi } from '#libs/nats/api.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { permissionTable } from '#libs/nats/permissions.ts';
import { findNatsServer } from '../../deploy/local/find-nats.mjs';
import { run } from '../../services/console/command-line.ts';
import { type Manifest, render } from './helm.ts';

interface Files extends Manifest {
  data?: Record<string, string>;
  stringData?: Record<string, string>;
}

jest.setTimeout(60_000);

const folders: string[] = [];
const started: (() => Promise<void>)[] = [];

afterAll(async () => {
  for (const stop of started) await stop();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** What the chart writes for NATS and for the services: files in a folder, as pods see them. */
async function filesOf(values: Record<string, unknown>) {
  const objects = (await render(values)) as Files[];
  const folder = mkdtempSync(join(tmpdir(), 'postrider-helm-nats-'));
  folders.push(folder);
  const secret = objects.find(({ kind }) => kind === 'Secret')!.stringData!;
  const texts = objects.flatMap(({ kind, data }) => (kind === 'ConfigMap' ? Object.entries(data ?? {}) : []));
  const config = new Map(texts);
  for (const [key, text] of Object.entries(secret)) put(join(folder, 'users', key), text);
  return { folder, secret, natsConf: config.get('nats.conf')!, postriderYaml: config.get('postrider.yaml')! };
}

const program = async () => (await findNatsServer({ log: () => {} })).path;

describe('The configuration of NATS', () => {
  test.each([1, 3, 5])('is one that nats-server takes, for %d servers', async (replicas) => {
    const { folder, natsConf } = await filesOf({ nats: { embedded: { replicas } } });
    put(join(folder, 'nats.conf'), natsConf);
    const { status, stderr } = spawnSync(await program(), ['-t', '-c', join(folder, 'nats.conf')], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, expect.stringContaining('is valid')]);
  });

  test('has each password in one place for the server, and in one for its user', async () => {
    const { secret, natsConf } = await filesOf({});
    const users = [...Object.keys(permissionTable), 'route'];
    expect(Object.keys(secret).sort()).toEqual(
      [
        ...users.flatMap((user) => [`${user}.password`, `${user}.user`]),
        'passwords.conf',
        'routes.conf',
      ].sort(),
    );
    const passwords = users.map((user) => secret[`${user}.password`]!);
    expect(new Set(passwords).size).toBe(users.length);
    for (const [i, user] of users.entries()) {
      expect(passwords[i]).toMatch(/^[A-Za-z0-9]{32}$/);
      const file = user === 'route' ? 'routes.conf' : 'passwords.conf';
      expect(secret[file]).toContain(`password_${user} = "${passwords[i]}"`);
      expect(natsConf).not.toContain(passwords[i]);
    }
  });
});

describe('A server of that configuration', () => {
  let folder: string;
  let url: string;
  let configFile: string;

  beforeAll(async () => {
    const files = await filesOf({ nats: { embedded: { replicas: 1 } } });
    folder = files.folder;
    const [client, monitor] = await freePorts(2);
    url = `nats://127.0.0.1:${client}`;
    const here = files.natsConf
      .replace('port: 4222', `host: 127.0.0.1\nport: ${client}`)
      .replace('http: 8222', `http: "127.0.0.1:${monitor}"`)
      .replace('/var/run/nats/nats.pid', join(folder, 'nats.pid'))
      .replace('"/data"', JSON.stringify(join(folder, 'data')));
    put(join(folder, 'nats.conf'), here);
    const args = ['-c', join(folder, 'nats.conf'), '-l', join(folder, 'nats.log')];
    const child = spawn(await program(), args, { stdio: 'ignore' });
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    started.push(async () => {
      child.kill('SIGKILL');
      await gone;
    });
    const config = parse(files.postriderYaml) as { nats: Record<string, unknown> };
    config.nats = { ...config.nats, url, credentials: credentialsOf('provision') };
    configFile = join(folder, 'postrider.yaml');
    put(configFile, stringify(config));
  });

  const credentialsOf = (user: string) => ({
    userFile: join(folder, 'users', `${user}.user`),
    passwordFile: join(folder, 'users', `${user}.password`),
  });

  async function as<T>(user: string, act: (link: Link) => Promise<T>): Promise<T> {
    const link = await connectLink({ url, service: user, credentials: credentialsOf(user) });
    try {
      return await act(link);
    } finally {
      await link.close();
    }
  }

  test('lets the Job make the streams that the configuration asks for', async () => {
    let said = '';
    const out = (text: string) => {
      said += text;
    };
    const args = ['node', 'postrider', 'provision', '--config', configFile, '--timeout', '30'];
    expect([await run(args, { env: {}, out, err: out, now: Date.now }), said]).toEqual([
      0,
      expect.anything(),
    ]);
    for (const stream of ['SPOOL_0', 'SPOOL_1', 'SPOOL_2', 'STORE_2', 'SETTLE', 'QUEUE', 'RULES']) {
      expect(said).toMatch(new RegExp(`^${stream} +made$`, 'm'));
    }
  });

  test('lets a service ask for its streams, and make none', async () => {
    await as('ingress', async (link) => {
      const info = await callApi<{ config: { num_replicas: number } }>(
        link,
        'STREAM.INFO.SPOOL_2',
        undefined,
        3000,
      );
      expect(info).toMatchObject({ kind: 'ok', value: { config: { num_replicas: 1 } } });
      const made = await callApi(link, 'STREAM.CREATE.MINE', { name: 'MINE', subjects: ['mine'] }, 1000);
      expect(made.kind).not.toBe('ok');
    });
  });

  test('refuses a password that is not its own', async () => {
    const credentials = {
      ...credentialsOf('queue'),
      passwordFile: join(folder, 'users', 'delivery.password'),
    };
    await expect(connectLink({ url, service: 'queue', credentials, tryForMs: 1000 })).rejects.toThrow(
      /refuse/i,
    );
  });
});
