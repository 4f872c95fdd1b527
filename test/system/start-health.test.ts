// What probes hear from a real process while a real nats-server comes, goes and comes back, and while it stops.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { freePort } from '#kit/cluster-ports.ts';
import type { ServiceName } from '#kit/cluster-process.ts';
import { type LoneService, startLone } from '#kit/lone-service.ts';
import { type NatsServer, startNats } from '#kit/nats-server.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { connectHealth, type HealthClient } from '#libs/rpc/health-client.ts';

const MINUTE = 60_000;
const NAMES = ['live', 'started', 'ready', ''];

let nats: NatsServer;
let folder: string;
let port: number;
let probe: HealthClient;
let service: LoneService;

beforeEach(async () => {
  nats = await startNats();
  folder = mkdtempSync(join(tmpdir(), 'postrider-health-'));
  port = await freePort();
  probe = connectHealth(`127.0.0.1:${port}`);
}, MINUTE);

afterEach(async () => {
  probe.close();
  if (service.child.exitCode === null && service.child.signalCode === null) {
    service.child.kill('SIGKILL');
    await service.ended;
  }
  await nats.stop();
  rmSync(folder, { recursive: true });
}, MINUTE);

function start(name: ServiceName, more = ''): void {
  const configText = `health: { ports: { ${name}: ${port} } }\nnats: { spoolSizeMax: 1 GiB }\n${more}`;
  service = startLone({ service: name, folder, configText, env: { NATS_URL: nats.url } });
}

const says = () => Promise.all(NAMES.map((name) => probe.check(name)));
const saysThat = (name: string, status: string) => async () => (await probe.check(name)) === status;

/** Answers at all; the process has to come up first. */
async function answers(): Promise<boolean> {
  return (await probe.check('live').catch(() => 'nobody')) === 'SERVING';
}

describe('A service that starts', () => {
  test(
    'lives before NATS is there, and is started and ready once it is',
    async () => {
      await nats.kill('SIGKILL');
      start('resolver');
      await waitUntil(answers, 15_000);
      expect(await says()).toEqual(['SERVING', 'NOT_SERVING', 'NOT_SERVING', 'NOT_SERVING']);
      const watch = probe.watch('started');
      await nats.restart();
      const ready = await service.ready;
      expect(ready.health).toBe(`127.0.0.1:${port}`);
      expect(await says()).toEqual(NAMES.map(() => 'SERVING'));
      await waitUntil(() => watch.heard.length === 2, 5_000);
      expect(watch.heard).toEqual(['NOT_SERVING', 'SERVING']);
      watch.cancel();
    },
    MINUTE,
  );
});

describe('A service that runs', () => {
  test(
    'is not ready while NATS is away, lives on, and is ready when NATS is back',
    async () => {
      start('queue');
      await service.ready;
      const watch = probe.watch('ready');
      await nats.kill('SIGKILL');
      await waitUntil(saysThat('ready', 'NOT_SERVING'), 10_000);
      expect(await says()).toEqual(['SERVING', 'SERVING', 'NOT_SERVING', 'NOT_SERVING']);
      await nats.restart();
      await waitUntil(saysThat('ready', 'SERVING'), 10_000);
      expect(watch.heard).toEqual(['SERVING', 'NOT_SERVING', 'SERVING']);
      watch.cancel();
      const said = service.lines().map(({ msg, reason }) => [msg, reason]);
      expect(said).toContainEqual(['not ready', 'NATS is away']);
      expect(said).toContainEqual(['ready again', undefined]);
    },
    MINUTE,
  );

  test(
    'does not say that it lives while its event loop stands still',
    async () => {
      start('resolver');
      await service.ready;
      service.child.kill('SIGSTOP');
      await expect(probe.check('live', 1_000)).rejects.toThrow(/does not say whether it is live/);
      service.child.kill('SIGCONT');
      await waitUntil(answers, 10_000);
    },
    MINUTE,
  );
});

describe('A service that is asked to stop', () => {
  test(
    'is not ready at once, lives until the end, and says how long each step took',
    async () => {
      start('queue', "drain: { wait: '1500 ms' }");
      await service.ready;
      const watch = probe.watch('');
      await waitUntil(() => watch.heard.length === 1, 5_000);
      const askedAt = performance.now();
      service.child.kill('SIGTERM');
      await waitUntil(saysThat('ready', 'NOT_SERVING'), 1_000);
      expect(performance.now() - askedAt).toBeLessThan(1_000);
      expect(await says()).toEqual(['SERVING', 'SERVING', 'NOT_SERVING', 'NOT_SERVING']);
      expect(await service.ended).toBe('code 0');
      expect(performance.now() - askedAt).toBeGreaterThan(1_500);
      expect(watch.heard).toEqual(['SERVING', 'NOT_SERVING']);
      const steps = service.lines().filter(({ took_ms }) => took_ms !== undefined);
      expect(steps.map(({ msg }) => msg)).toEqual([
        'stopping: not ready any more',
        'stopping: load balancers had time to look elsewhere',
        'stopping: the service has ended its work',
        'stopping: telemetry flushed',
        'stopping: NATS has everything and is closed',
        'stopped',
      ]);
      expect(steps[1]!.took_ms).toBeGreaterThanOrEqual(1_490);
    },
    MINUTE,
  );

  test(
    'twice does not wait for load balancers',
    async () => {
      start('resolver', "drain: { wait: '5 min' }");
      await service.ready;
      service.child.kill('SIGTERM');
      await waitUntil(saysThat('ready', 'NOT_SERVING'), 5_000);
      await pause(100);
      service.child.kill('SIGTERM');
      expect(await service.ended).toBe('code 0');
    },
    MINUTE,
  );

  test(
    'before it has started ends at once',
    async () => {
      await nats.kill('SIGKILL');
      start('resolver', "drain: { wait: '5 min' }");
      await waitUntil(answers, 15_000);
      service.child.kill('SIGTERM');
      expect(await service.ended).toBe('code 0');
    },
    MINUTE,
  );
});
