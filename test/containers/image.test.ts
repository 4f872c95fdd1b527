// The image as a cluster's strictest policy runs it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GenericContainer } from 'testcontainers';
import { connectHealth } from '#libs/rpc/health-client.ts';
import { baseName } from '../../deploy/image/build-base.ts';
import { engine, makeNetwork, publishedPort, sweep } from './engine.ts';
import { eventually } from './eventually.ts';
import { HardenedContainer } from './hardened-container.ts';
import { buildImages, type Images } from './images.ts';
import { runToEnd } from './one-shot.ts';
import { PORT, serviceSettings } from './settings.ts';
import { Running } from './startup-checks.ts';

const BUILD_MS_MAX = 240_000;
const TEST_MS_MAX = 60_000;
const OCTETS_MAX = 160_000_000;
const SERVICES = ['ingress', 'queue', 'resolver', 'delivery'] as const;

let images: Images;
let network: string;
let folder: string;
let settings: string;

beforeAll(async () => {
  await sweep();
  images = await buildImages();
  network = await makeNetwork();
  folder = mkdtempSync(join(tmpdir(), 'postrider-image-'));
  settings = join(folder, 'postrider.yaml');
  writeFileSync(settings, serviceSettings());
}, BUILD_MS_MAX);

afterAll(async () => {
  await sweep();
  rmSync(folder, { recursive: true });
}, TEST_MS_MAX);

const run = (...command: string[]) => runToEnd({ image: images.postrider, network, command });

/** What the expression is in a container, as JSON. */
async function evaluate<T>(expression: string): Promise<T> {
  const { output } = await run('node', '--eval', `console.log(JSON.stringify(${expression}))`);
  return JSON.parse(output) as T;
}

describe('The image', () => {
  test('is small, has a version, and runs as nobody in particular', async () => {
    const { Size, Config } = await (await engine()).getImage(images.postrider).inspect();
    const { version, license } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, string>;
    console.info(`${images.postrider}: ${(Size / 1e6).toFixed(0)} MB`);
    expect(Size).toBeLessThan(OCTETS_MAX);
    expect(Config.User).toBe('10001:10001');
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': license,
      'org.opencontainers.image.revision': expect.stringMatching(/^([0-9a-f]{40}|unknown)$/),
    });
    expect(readFileSync('deploy/Dockerfile', 'utf8')).toContain(`ARG VERSION=${version}\n`);
  });

  test('has our commands and Node, and no other program', async () => {
    const expected = ['node', 'postrider', ...SERVICES.map((service) => `postrider-${service}`)];
    const programs = await evaluate<string[]>(`
      require('fs').readdirSync('/').filter((top) => !['proc', 'sys', 'dev', 'app', '.dockerenv'].includes(top)).flatMap((top) =>
        require('fs').globSync('/' + top + '/**').filter((path) => {
          const { mode } = require('fs').statSync(path);
          return (mode & 0o170000) === 0o100000 && (mode & 0o111) !== 0 && !/\\.so\\b/.test(path);
        }))`);
    expect(programs.sort()).toEqual(expected.sort().map((name) => `/usr/local/bin/${name}`));
    await expect(run('sh', '-c', 'true')).rejects.toThrow(/executable file not found/);
  });

  test('gives its programs no right that they do not need', async () => {
    const status = await evaluate<string>(`require('fs').readFileSync('/proc/self/status', 'latin1')`);
    expect(status).toMatch(/^Uid:\t10001\t10001\t10001\t10001$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    const { exitCode, output } = await run('node', '--eval', `require('fs').writeFileSync('/tmp/a', '')`);
    expect(exitCode).toBe(1);
    expect(output).toContain('EROFS');
  });

  test.each(SERVICES)('starts postrider-%s', async (service) => {
    const { exitCode, output } = await run(`postrider-${service}`, '--help');
    expect(exitCode).toBe(0);
    expect(output).toContain(`Usage: postrider ${service}`);
  });

  test('starts the command line for operators', async () => {
    const { exitCode, output } = await run('postrider', 'queue', 'ls');
    expect(output).toBe(
      'postrider: no queue answers at 127.0.0.1:7070: is it running, and is that its admin port?\n',
    );
    expect(exitCode).toBe(1);
  });
});

describe('BuildKit', () => {
  test(
    'builds it as the classic builder does',
    async () => {
      const name = 'postrider-test-buildkit:containers';
      const build = GenericContainer.fromDockerfile(process.cwd(), 'deploy/Dockerfile').withBuildkit();
      await build.withBuildArgs({ NODE_IMAGE: baseName() }).build(name, { deleteOnExit: false });
      const command = ['postrider-queue', '--help'];
      const { exitCode, output } = await runToEnd({ image: name, network, command });
      await (await engine()).getImage(name).remove();
      expect(output).toContain('Usage: postrider queue');
      expect(exitCode).toBe(0);
    },
    BUILD_MS_MAX,
  );
});

describe('A service that finds no NATS', () => {
  test.each(SERVICES)(
    '%s lives, is not ready, and ends with 0 when it is asked to',
    async (service) => {
      const container = new HardenedContainer(images.postrider, { network, aliases: [] })
        .withBindMounts([{ source: settings, target: '/etc/postrider/postrider.yaml', mode: 'ro' }])
        .withCommand([`postrider-${service}`])
        .withExposedPorts(PORT.health)
        .withWaitStrategy(new Running());
      const started = await container.start();
      const health = connectHealth(`127.0.0.1:${await publishedPort(started.getId(), PORT.health)}`);
      const lives = () => health.check('live').catch(() => '');
      await eventually(async () => (await lives()) === 'SERVING', TEST_MS_MAX, 'it lives');
      expect(await health.check('started')).toBe('NOT_SERVING');
      expect(await health.check('ready')).toBe('NOT_SERVING');
      expect(await health.check('')).toBe('NOT_SERVING');
      health.close();
      const stopping = (await engine()).getContainer(started.getId());
      await stopping.kill({ signal: 'SIGTERM' });
      expect(await stopping.wait()).toMatchObject({ StatusCode: 0 });
    },
    TEST_MS_MAX,
  );
});
