import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Stage } from '#kit/cluster-stage.ts';

const run = promisify(execFile);
const COMMAND = fileURLToPath(new URL('../../services/console/postrider.ts', import.meta.url));

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open({
    instances: { queue: 2 },
    config: { retry: { schedule: ['1 h'] } },
  });
}, 60_000);
afterAll(() => stage.close(), 60_000);

async function postrider(words: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [
    COMMAND,
    ...words,
    '--admin',
    stage.cluster.adminAddress(1),
  ]);
  return stdout;
}

describe('postrider queue', () => {
  test('lists what waits in all instances, and makes it due', async () => {
    const first = await stage.send({ to: '450-then-250@sink.test', reversePath: 'someone@client.test' });
    const second = await stage.send({ to: '451-then-250@sink.test' });
    const listed = async () => {
      const listing = await postrider(['queue', 'ls']);
      return /deferred[\s\S]*deferred/.test(listing) ? listing : undefined;
    };
    const listing = await stage.cluster.until('both are listed as deferred', listed);
    expect(listing).toContain(first);
    expect(listing).toContain(second);
    expect(listing).toContain('someone@client.test');
    expect(listing).toContain('450 4.2.1 not now, as asked');
    expect(listing).toMatch(/5\d min|1 h/);

    expect(await postrider(['queue', 'flush', '--queue-id', first])).toContain('1 recipient');
    expect((await stage.relayed(1))[0]!.queueId).toBe(first);
    expect(await postrider(['queue', 'flush', '--domain', 'sink.test'])).toContain('1 recipient');
    expect((await stage.relayed(2))[1]!.queueId).toBe(second);
    await stage.settled();
    expect(await postrider(['queue', 'ls'])).toContain('The queue is empty.');
  }, 30_000);
});
