// The cluster of deploy/compose.yaml as files: what it mounts is there, everybody who must read a file can, and nothing is
// published to others than this machine.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { COMPOSE_FILE, composeCommands, missComposeAloud } from '#kit/docker-compose.ts';
import { parseConfig } from '#libs/config/load.ts';
import { authorizationText, type NatsUser, natsUsers } from '#libs/nats/permissions.ts';
import { findNatsServer } from '../../deploy/local/find-nats.mjs';
import { promtool } from './programs.ts';
import { ROOT } from './shipped.ts';

const FOLDER = join(ROOT, 'deploy');
const WITHIN_MS = 60_000;

interface Service {
  image: string;
  command?: string[];
  volumes?: string[];
  ports?: string[];
  stop_grace_period?: string;
}

interface Compose {
  services: Record<string, Service>;
  volumes: Record<string, null>;
}

const read = (...path: string[]): string => readFileSync(join(FOLDER, ...path), 'utf8');
const compose = parse(read('compose.yaml'), { merge: true }) as Compose;
const services = Object.entries(compose.services);
const mounts = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')));
const configOf = (user: NatsUser) =>
  parseConfig('postrider.yaml', read('compose', 'postrider.yaml').replaceAll('<service>', user));

const scratch = mkdtempSync(join(tmpdir(), 'postrider-compose-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('deploy/compose.yaml', () => {
  test('publishes nothing but on this machine', () => {
    const ports = services.flatMap(([, { ports: own = [] }]) => own);
    expect(ports.length).toBe(5);
    expect(ports.filter((port) => !/^127\.0\.0\.1:\$\{[A-Z]+_PORT:-\d+\}:\d+$/.test(port))).toEqual([]);
  });

  test('mounts files of this repository, read-only, and volumes that it declares', () => {
    for (const [source = '', , mode] of mounts) {
      if (source.startsWith('.')) {
        expect(mode).toBe('ro');
        expect(resolve(FOLDER, source).startsWith(`${FOLDER}/`)).toBe(true);
        expect([source, existsSync(resolve(FOLDER, source))]).toEqual([source, true]);
      } else expect(Object.keys(compose.volumes)).toContain(source);
    }
  });

  test('takes every image from a variable that has a default; ours is that of this version', () => {
    const images = services.map(([, { image }]) => image);
    expect(images.filter((image) => !/^\$\{[A-Z]+_IMAGE:-[a-z0-9/-]+:[\w.-]+\}$/.test(image))).toEqual([]);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(images).toContain(`\${POSTRIDER_IMAGE:-postrider:${version}}`);
  });

  test(
    'is understood by Docker Compose, where it is installed',
    () => {
      const commands = composeCommands();
      if (commands.length === 0) missComposeAloud();
      for (const [command = '', ...first] of commands) {
        const { status, stderr } = spawnSync(command, [...first, '-f', COMPOSE_FILE, 'config', '-q'], {
          encoding: 'utf8',
        });
        expect({ command, status, stderr }).toEqual({ command, status: 0, stderr: '' });
      }
    },
    WITHIN_MS,
  );
});

describe('The configuration in deploy/compose', () => {
  test.each(natsUsers.map((user) => [user]))('is one that services take, for %s', (user) => {
    const { nats } = configOf(user);
    expect(nats.url.split(',').map((url) => new URL(url).hostname)).toEqual(['nats-1', 'nats-2', 'nats-3']);
    expect(nats.credentials).toEqual({
      userFile: `/setup/${user}/user`,
      passwordFile: `/setup/${user}/password`,
    });
  });

  test('has every service drained before it is killed', () => {
    const { wait, sessions, attempts } = configOf('ingress').drain;
    const graceMs = 1000 * Number(/^(\d+)s$/.exec(compose.services.ingress!.stop_grace_period!)![1]);
    expect(graceMs).toBeGreaterThan(wait + sessions + attempts);
  });

  test(
    'is one that nats-server takes, with the users that setup.ts makes',
    async () => {
      const logins = Object.fromEntries(natsUsers.map((user) => [user, { password: 'x' }])) as Record<
        NatsUser,
        { password: string }
      >;
      await mkdir(join(scratch, 'setup', 'nats'), { recursive: true });
      writeFileSync(join(scratch, 'nats.conf'), read('compose', 'nats.conf'));
      writeFileSync(
        join(scratch, 'setup', 'nats', 'users.conf'),
        authorizationText(configOf('queue').nats, logins),
      );
      const { path } = await findNatsServer({ log: () => {} });
      const { status, stderr } = spawnSync(path, ['--config', join(scratch, 'nats.conf'), '-t'], {
        encoding: 'utf8',
      });
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: expect.stringContaining('is valid'),
      });
    },
    WITHIN_MS,
  );

  test('leaves room in every nats-server for all streams', () => {
    const { spoolStreams, spoolSizeMax } = configOf('queue').nats;
    const [, gigabytes] = /max_file: (\d+)GB/.exec(read('compose', 'nats.conf'))!;
    expect(2 * spoolStreams * spoolSizeMax).toBeLessThan(Number(gigabytes) * 1e9);
  });

  test(
    'is one that Prometheus takes, and has it scrape every service',
    async () => {
      const { ok, output } = await promtool(
        'check',
        'config',
        '--syntax-only',
        join(FOLDER, 'compose/prometheus.yml'),
      );
      expect({ ok, output: ok ? '' : output }).toEqual({ ok: true, output: '' });
      const { scrape_configs: jobs } = parse(read('compose', 'prometheus.yml')) as {
        scrape_configs: { dns_sd_configs: { names: string[]; port: number }[] }[];
      };
      const { metricsPorts } = configOf('queue').telemetry;
      const scraped = jobs.flatMap(({ dns_sd_configs: [one] }) => [[one!.names[0], one!.port]]);
      expect(Object.fromEntries(scraped)).toEqual(metricsPorts);
    },
    WITHIN_MS,
  );
});
