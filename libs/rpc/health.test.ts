import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { waitUntil } from '#kit/wait-until.ts';
import { type HealthServer, serveHealth } from './health.ts';
import { connectHealth, type HealthClient } from './health-client.ts';

const running: (() => void)[] = [];

afterEach(() => {
  for (const stop of running.splice(0)) stop();
});

async function served(): Promise<{ server: HealthServer; client: HealthClient }> {
  const server = await serveHealth({ address: '127.0.0.1', port: 0 });
  const client = connectHealth(`127.0.0.1:${server.port}`);
  running.push(
    () => client.close(),
    () => server.stop(),
  );
  return { server, client };
}

const NAMES = ['live', 'started', 'ready', ''] as const;

describe('The health server', () => {
  test('says from the start that the process lives, and nothing more', async () => {
    const { client } = await served();
    const said = await Promise.all(NAMES.map((name) => client.check(name)));
    expect(said).toEqual(['SERVING', 'NOT_SERVING', 'NOT_SERVING', 'NOT_SERVING']);
  });

  test('knows no other names', async () => {
    const { client } = await served();
    await expect(client.check('queue')).rejects.toThrow(/does not say whether it is queue/);
  });

  test('says "ready" under the empty name, too', async () => {
    const { server, client } = await served();
    server.set('ready', 'SERVING');
    const said = await Promise.all(NAMES.map((name) => client.check(name)));
    expect(said).toEqual(['SERVING', 'NOT_SERVING', 'SERVING', 'SERVING']);
  });

  test('tells those who watch each change once, and ends their calls when it stops', async () => {
    const { server, client } = await served();
    const watch = client.watch('ready');
    await waitUntil(() => watch.heard.length === 1, 5_000);
    server.set('ready', 'SERVING');
    server.set('ready', 'SERVING');
    server.set('started', 'SERVING');
    server.set('ready', 'NOT_SERVING');
    await waitUntil(() => watch.heard.length === 3, 5_000);
    expect(watch.heard).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING']);
    server.stop();
    expect(await watch.ended).not.toBe('');
    await expect(client.check('live', 500)).rejects.toThrow(/127\.0\.0\.1/);
  });

  test('takes another port when its own is taken, and refuses an address that is not ours', async () => {
    const other = createServer();
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    const taken = (other.address() as { port: number }).port;
    const server = await serveHealth({ address: '127.0.0.1', port: taken });
    running.push(() => server.stop());
    expect(server.port).not.toBe(taken);
    await new Promise((done) => other.close(done));
    await expect(serveHealth({ address: '192.0.2.1', port: 0 })).rejects.toThrow(
      /^health: cannot listen on 192\.0\.2\.1:0: /,
    );
  });
});
