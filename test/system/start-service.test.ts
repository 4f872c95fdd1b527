// One service started alone, as `node services/<name>/main.ts`: how it says that it is ready, and how it ends.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type NatsServer, startNats } from '#kit/nats-server.ts';

let nats: NatsServer;
const dir = mkdtempSync(join(tmpdir(), 'postrider-service-'));

beforeAll(async () => {
  nats = await startNats();
}, 30_000);
afterAll(async () => {
  await nats.stop();
  rmSync(dir, { recursive: true });
});

interface Running {
  child: ChildProcess;
  output: () => string;
  ready: Promise<Record<string, unknown>>;
  ended: Promise<string>;
}

function run(configText: string, env: Record<string, string> = {}): Running {
  const config = join(dir, 'postrider.yaml');
  writeFileSync(config, configText);
  const child = fork('services/resolver/main.ts', ['--config', config], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, NATS_URL: nats.url, ...env },
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (text) => {
      output += text;
    });
  }
  return {
    child,
    output: () => output,
    ready: new Promise((resolve) => {
      child.on('message', (message) => resolve((message as { ready: Record<string, unknown> }).ready));
    }),
    // Not 'close', which does not come after a disconnect.
    ended: Promise.all([once(child, 'exit'), finished(child.stdout!), finished(child.stderr!)]).then(
      ([[code, signal]]) => signal ?? `code ${code}`,
    ),
  };
}

/** The log lines, parsed. */
function lines(running: Running): Record<string, unknown>[] {
  return running
    .output()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('A service', () => {
  test('says that it is ready in a log line and to its starter, and stops on SIGTERM', async () => {
    const service = run('');
    const ready = await service.ready;
    expect(ready.metrics).toMatch(/^127\.0\.0\.1:\d+$/);
    const answer = await fetch(`http://${ready.metrics}/metrics`);
    expect(await answer.text()).toContain('service_name="postrider-resolver"');
    service.child.kill('SIGTERM');
    expect(await service.ended).toBe('code 0');
    const line = lines(service).find(({ msg }) => msg === 'ready')!;
    expect(line).toMatchObject({ service: 'resolver', instance: ready.instance, ready });
    expect(lines(service).at(-1)).toMatchObject({ msg: 'stopped' });
  }, 30_000);

  test('stops when its starter is gone', async () => {
    const service = run('');
    await service.ready;
    service.child.disconnect();
    expect(await service.ended).toBe('code 0');
    expect(lines(service).map(({ msg }) => msg)).toContain('asked to stop: the starter is gone');
  }, 30_000);

  test('refuses a wrong configuration with its own exit code', async () => {
    const service = run('admin: { port: x }');
    expect(await service.ended).toBe('code 78');
    expect(service.output()).toBe(
      `${join(dir, 'postrider.yaml')}:1: admin.port: expected number; found "x"\n`,
    );
  }, 30_000);

  test('can be stopped while it waits for NATS', async () => {
    const service = run('', { NATS_URL: 'nats://127.0.0.1:9' });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    service.child.kill('SIGINT');
    expect(await service.ended).toBe('code 0');
  }, 30_000);
});
