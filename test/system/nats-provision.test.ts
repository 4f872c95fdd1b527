// Streams that are made, grow and are never shrunk: with a real nats-server and the command that an installation runs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { callApi } from '#libs/nats/api.ts';
import { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { prepareStreams } from '#libs/nats/prepare-streams.ts';
import { provision, provisionAll } from '#libs/nats/provision.ts';
import { RecordWriter } from '#libs/nats/records.ts';
import { run } from '../../services/console/command-line.ts';

const MIB = 1024 ** 2;
const layout: Layout = { partitions: 4, spoolStreams: 1, replicas: 1, spoolSizeMax: 4 * MIB };
const folder = mkdtempSync(join(tmpdir(), 'postrider-provision-'));
let nats: NatsServer;
let link: Link;

beforeAll(async () => {
  nats = await startNats({ storageMax: 64 * MIB });
  link = await connectLink({ url: nats.url, service: 'test' });
});

afterAll(async () => {
  await link?.close();
  await nats?.stop();
  rmSync(folder, { recursive: true });
});

beforeEach(() => provision(link, layout));

afterEach(async () => {
  for (const name of ['SPOOL_0', 'STORE_0', 'SETTLE', 'QUEUE', 'SPOOL_1', 'STORE_1']) {
    await callApi(link, `STREAM.DELETE.${name}`, undefined, 3000);
  }
});

async function configOf(name: string): Promise<Record<string, unknown>> {
  const info = await callApi<{ config: Record<string, unknown> }>(
    link,
    `STREAM.INFO.${name}`,
    undefined,
    3000,
  );
  if (info.kind !== 'ok') throw new Error(`${name}: ${info.kind}`);
  return info.value.config;
}

/** Runs the command with a configuration file that has these lines below `nats`. */
function postrider(lines: string, ...args: string[]) {
  return postriderWith(
    `nats: { url: "${nats.url}", ${lines.includes('partitions') ? '' : 'partitions: 4, '}${lines} }`,
    ...args,
  );
}

async function postriderWith(config: string, ...args: string[]) {
  const file = join(folder, 'postrider.yaml');
  writeFileSync(file, `${config}\n`);
  const said = { out: '', err: '', code: -1 };
  said.code = await run(['node', 'postrider', 'provision', '--config', file, ...args], {
    env: {},
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    now: () => 0,
  });
  return said;
}

async function store(octets: number): Promise<number> {
  const record = { subject: subjects.spool(1), payload: Buffer.alloc(octets), id: '', giveUpAfterMs: 5000 };
  const stored = await new RecordWriter(link).store(record);
  if (stored.kind !== 'stored') throw new Error(stored.kind);
  return stored.sequence;
}

describe('postrider provision', () => {
  test('makes what is missing, leaves the rest alone, and says so', async () => {
    await callApi(link, 'STREAM.DELETE.STORE_0', undefined, 3000);
    const rest = ['SETTLE', 'QUEUE', 'CHECKPOINTS', 'QUARANTINE', 'RULES']
      .map((name) => `${name.padEnd(12)}unchanged\n`)
      .join('');
    const wet = `SPOOL_0     unchanged\nSTORE_0     made\n${rest}`;
    const dry = `Nothing is changed: this only says what would be done.\n${wet}`;
    expect(await postrider('spoolSizeMax: 4 MiB', '--dry-run')).toEqual({ out: dry, err: '', code: 0 });
    await expect(configOf('STORE_0')).rejects.toThrow();
    expect(await postrider('spoolSizeMax: 4 MiB')).toEqual({ out: wet, err: '', code: 0 });
    expect((await configOf('STORE_0')).max_bytes).toBe(4 * MIB);
    const again = wet.replace('made', 'unchanged');
    expect(await postrider('spoolSizeMax: 4 MiB')).toEqual({ out: again, err: '', code: 0 });
  });

  test('lets a stream grow that has mail in it, and keeps what it knows nothing of', async () => {
    const sequence = await store(1000);
    const config = await configOf('SPOOL_0');
    const ours = { ...config, description: 'ours', compression: 's2' };
    await callApi(link, 'STREAM.UPDATE.SPOOL_0', ours, 3000);
    const { out, code } = await postrider('spoolSizeMax: 8 MiB');
    expect(out).toContain('SPOOL_0     changed: max_bytes 4194304 octets -> 8388608 octets\n');
    expect(code).toBe(0);
    const kept = { max_bytes: 8 * MIB, description: 'ours', compression: 's2' };
    expect(await configOf('SPOOL_0')).toMatchObject(kept);
    expect((await new DirectGet(link).bySequence('SPOOL_0', sequence)).kind).toBe('found');
  });

  test('refuses to shrink, and with leave shrinks only around what is stored', async () => {
    await store(3 * MIB);
    const words = 'max_bytes (nats.spoolSizeMax): have 4194304 octets, want 2097152 octets';
    const refused = await postrider('spoolSizeMax: 2 MiB');
    expect(refused).toMatchObject({ code: 1, err: 'postrider: 2 streams refused\n' });
    expect(refused.out).toContain(`SPOOL_0     refused: it would shrink: ${words}\n`);
    const allowed = await postrider('spoolSizeMax: 2 MiB', '--allow-shrink');
    expect(allowed).toMatchObject({ code: 1, err: 'postrider: 1 stream refused\n' });
    expect(allowed.out).toMatch(/SPOOL_0 {5}refused: 3\d{6} octets are stored: max_bytes /);
    expect(allowed.out).toContain('STORE_0     changed: max_bytes 4194304 octets -> 2097152 octets\n');
    expect((await configOf('SPOOL_0')).max_bytes).toBe(4 * MIB);
    expect((await configOf('STORE_0')).max_bytes).toBe(2 * MIB);
  });

  test.each([
    [
      'other spool streams',
      'spoolSizeMax: 4 MiB, spoolStreams: 2',
      'have spool.0, .*, want spool.0, spool.2',
    ],
    [
      'other partitions',
      'partitions: 3, spoolSizeMax: 4 MiB',
      'nats.partitions and nats.spoolStreams, fixed',
    ],
    [
      'copies where there is one server',
      'spoolSizeMax: 4 MiB, replicas: 3',
      'nats.replicas.: have 1, want 3',
    ],
    ['more room than there is', 'spoolSizeMax: 1 GiB', 'nats.spoolSizeMax.: have 4194304 .*max_file_store'],
  ])('refuses %s, even with leave to shrink', async (_what, lines, words) => {
    const before = await configOf('SPOOL_0');
    const { out, code } = await postrider(lines, '--allow-shrink');
    expect(out).toMatch(new RegExp(`SPOOL_0 +refused: .*${words}`));
    expect(code).toBe(1);
    expect(await configOf('SPOOL_0')).toEqual(before);
  });

  test('touches nothing when fewer spool streams are asked for while mail is in them', async () => {
    await link.request('$JS.API.STREAM.DELETE.SPOOL_0', new Uint8Array(0), 3000);
    await link.request('$JS.API.STREAM.DELETE.STORE_0', new Uint8Array(0), 3000);
    await link.request('$JS.API.STREAM.DELETE.SETTLE', new Uint8Array(0), 3000);
    await provision(link, { ...layout, spoolStreams: 2 });
    await callApi(link, 'STREAM.DELETE.SETTLE', undefined, 3000);
    await store(100);
    const { out, code, err } = await postrider('spoolSizeMax: 4 MiB, spoolStreams: 1', '--allow-shrink');
    expect([code, err]).toEqual([1, 'postrider: 4 streams refused\n']);
    expect(out).toContain('SETTLE      not touched, because another one is refused\n');
    const words =
      'nats.spoolStreams, fixed for the life of the data: have 2 or more, want 1; it holds 1 records';
    expect(out).toContain(`SPOOL_1     refused: ${words}\n`);
    await expect(configOf('SETTLE')).rejects.toThrow();
    expect((await configOf('SPOOL_1')).subjects).toEqual(['spool.1', 'spool.3']);
  });

  test('says what is wrong with the file, or with the server', async () => {
    const wrong = await postrider('spoolSizeMax: 4 MiB, urk: 1');
    expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining('nats.urk: unknown key') });
    const away = await postrider('spoolSizeMax: 4 MiB', '--timeout', '0');
    expect(away).toMatchObject({ code: 1, err: expect.stringContaining('expected seconds') });
    const config = 'nats: { url: "nats://127.0.0.1:1" }';
    const { code, err } = await postriderWith(config, '--timeout', '1');
    expect([code, err]).toEqual([1, expect.stringContaining('nats://127.0.0.1:1: ')]);
  });
});

describe('A service', () => {
  const small = { ...layout, spoolSizeMax: 2 * MIB };

  test('that makes streams itself never shrinks one: it says so and goes on', async () => {
    const said: string[] = [];
    await prepareStreams(link, { ...small, provision: 'auto' }, { say: (words) => said.push(words) });
    const words = 'max_bytes (nats.spoolSizeMax): have 4194304 octets, want 2097152 octets';
    expect(said).toEqual(
      ['SPOOL_0', 'STORE_0'].map((name) => `stream ${name} stays as it is: it would shrink: ${words}`),
    );
    expect((await configOf('SPOOL_0')).max_bytes).toBe(4 * MIB);
  });

  test('that makes streams itself at the same time as others makes each once', async () => {
    for (const name of ['SPOOL_0', 'STORE_0', 'QUEUE']) {
      await callApi(link, `STREAM.DELETE.${name}`, undefined, 3000);
    }
    const layouts = [layout, layout, small, layout];
    await Promise.all(
      layouts.map((one) => prepareStreams(link, { ...one, provision: 'auto' }, { say: () => {} })),
    );
    expect((await configOf('SPOOL_0')).max_bytes).toBe(4 * MIB);
    expect((await configOf('QUEUE')).allow_atomic).toBe(true);
  });

  test('that only checks waits, says for what, and goes on when its streams are there', async () => {
    for (const name of ['STORE_0', 'QUEUE']) await callApi(link, `STREAM.DELETE.${name}`, undefined, 3000);
    const said: string[] = [];
    const say = (words: string) => said.push(words);
    let isReady = false;
    const settings = { ...layout, provision: 'check' as const };
    const ready = prepareStreams(link, settings, { say, only: /^(SPOOL|STORE)_/ }).then(() => {
      isReady = true;
    });
    await waitUntil(() => said.length > 0, 5000);
    expect(said).toEqual(['waiting for stream STORE_0 (nats.provision is check): stream not found']);
    expect(isReady).toBe(false);
    await provisionAll(link, small);
    await callApi(link, 'STREAM.DELETE.QUEUE', undefined, 3000);
    // Less room than configured is no reason to keep mail waiting, and QUEUE is none of its business.
    await ready;
  });

  test('that only checks waits for a stream that does not fit', async () => {
    const config = await configOf('SETTLE');
    await callApi(link, 'STREAM.UPDATE.SETTLE', { ...config, allow_direct: false }, 3000);
    const said: string[] = [];
    const settings = { ...layout, provision: 'check' as const };
    const ready = prepareStreams(link, settings, { say: (words) => said.push(words) });
    await waitUntil(() => said.length > 0, 5000);
    expect(said[0]).toContain('stream SETTLE (nats.provision is check): allow_direct: have false, want true');
    await provisionAll(link, layout);
    await ready;
  });
});
