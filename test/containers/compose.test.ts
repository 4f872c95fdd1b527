// deploy/compose.yaml as it is shipped, without what must be pulled (Jaeger, Prometheus, Grafana): it comes up from nothing,
// takes a mail over the published port and delivers it, and again with one nats-server stopped.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freePorts } from '#kit/cluster-ports.ts';
import { ComposeProject, composeCommands, missComposeAloud } from '#kit/docker-compose.ts';
import { SmtpClient } from '#kit/load-client.ts';
import { eventually } from './eventually.ts';
import { buildImages } from './images.ts';

const PARTS = [
  'nats-1',
  'nats-2',
  'nats-3',
  'setup',
  'provision',
  'ingress',
  'queue',
  'resolver',
  'delivery',
];
const MAILDIR = '/mail/postrider.test/someone/new';
const START_MS_MAX = 300_000;
const TEST_MS_MAX = 120_000;
const DELIVERED_WITHIN_MS = 60_000;

const [command] = composeCommands();
let project: ComposeProject | undefined;
let [smtpPort, smtpsPort]: (number | undefined)[] = [];

/** Sends a mail, over TLS from the start; the reply to its data. */
async function send(): Promise<string> {
  const client = await SmtpClient.open(smtpsPort!, 'implicit');
  const data = Buffer.from('Subject: hello\r\n\r\nHello.\r\n');
  const { last } = await client.send({
    reversePath: 'me@example.test',
    forwardPaths: ['someone@postrider.test'],
    data,
  });
  await client.quit();
  return last.text;
}

async function delivered(): Promise<number> {
  const count = `try { fs.readdirSync('${MAILDIR}').length } catch { 0 }`;
  return Number(await project!.run('exec', '-T', 'delivery', 'node', '--print', count));
}

beforeAll(async () => {
  if (command === undefined) return missComposeAloud();
  const { postrider, nats } = await buildImages();
  [smtpPort, smtpsPort] = await freePorts(2);
  const env = {
    POSTRIDER_IMAGE: postrider,
    NATS_IMAGE: nats,
    SMTP_PORT: String(smtpPort),
    SMTPS_PORT: String(smtpsPort),
  };
  project = new ComposeProject({ command, name: `postrider-test-compose-${process.pid}`, env });
  await project.run('up', '--no-build', '-d', ...PARTS);
}, START_MS_MAX);

afterAll(async () => {
  await project?.run('down', '--volumes', '--timeout', '5');
}, TEST_MS_MAX);

describe('The cluster of deploy/compose.yaml', () => {
  test(
    'takes a mail and delivers it, also with one nats-server stopped',
    async () => {
      if (project === undefined) return;
      await eventually(
        () =>
          SmtpClient.open(smtpPort!).then(
            (client) => client.quit().then(() => true),
            () => false,
          ),
        DELIVERED_WITHIN_MS,
        'ingress answers',
      );
      // Until the resolver is there, recipients are deferred.
      await eventually(
        async () => /^250 2\.0\.0 Ok: queued as /.test(await send()),
        DELIVERED_WITHIN_MS,
        'a mail to be taken',
      );
      await eventually(async () => (await delivered()) === 1, DELIVERED_WITHIN_MS, 'a mail in the Maildir');
      await project.run('stop', '--timeout', '5', 'nats-1');
      expect(await send()).toMatch(/^250 2\.0\.0 Ok: queued as /);
      await eventually(
        async () => (await delivered()) === 2,
        DELIVERED_WITHIN_MS,
        'two mails in the Maildir',
      );
      const listing = await project.run('exec', '-T', 'queue', 'postrider', 'queue', 'ls');
      expect(listing).toBe('The queue is empty.\n');
    },
    TEST_MS_MAX,
  );

  test(
    'gives every service the rights that it needs in NATS, and a user of its own',
    async () => {
      if (project === undefined) return;
      const log = await project.run('logs', '--no-color', 'ingress', 'queue', 'resolver', 'delivery');
      expect(log).toContain('"msg":"ready"');
      expect(log.split('\n').filter((line) => /permissions violation|authorization/i.test(line))).toEqual([]);
    },
    TEST_MS_MAX,
  );
});
