// One service started alone, as `node services/<name>/main.ts`: how it says that it is ready, and how it ends.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startLone } from '#kit/lone-service.ts';
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

const run = (configText: string, env: Record<string, string> = {}) =>
  startLone({ service: 'resolver', folder: dir, configText, env: { NATS_URL: nats.url, ...env } });

describe('A service', () => {
  test('says that it is ready in a log line and to its starter, and stops on SIGTERM', async () => {
    const service = run('');
    const ready = await service.ready;
    expect(ready.metrics).toMatch(/^127\.0\.0\.1:\d+$/);
    const answer = await fetch(`http://${ready.metrics}/metrics`);
    expect(await answer.text()).toContain('service_name="postrider-resolver"');
    service.child.kill('SIGTERM');
    expect(await service.ended).toBe('code 0');
    const line = service.lines().find(({ msg }) => msg === 'ready')!;
    expect(line).toMatchObject({ service: 'resolver', instance: ready.instance, ready });
    expect(service.lines().at(-1)).toMatchObject({ msg: 'stopped' });
  }, 30_000);

  test('stops when its starter is gone', async () => {
    const service = run('');
    await service.ready;
    service.child.disconnect();
    expect(await service.ended).toBe('code 0');
    expect(service.lines().map(({ msg }) => msg)).toContain('asked to stop: the starter is gone');
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
