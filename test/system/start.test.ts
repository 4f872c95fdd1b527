// `npm start`, as a user has it: real processes, real sockets, a real nats-server.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { freePort, freePorts } from '#kit/cluster-ports.ts';
import { SmtpClient } from '#kit/load-client.ts';
import { type SmtpSink, startSmtpSink } from '#kit/smtp-sink.ts';
import { processesWith, Starter } from '#kit/starter.ts';
import { waitUntil } from '#kit/wait-until.ts';

const MINUTES = 60_000;
const MAIL = Buffer.from('Subject: caf\xe9\r\n\r\n.dot\r\n..dots\r\nlast\r\n', 'latin1');

let dataDir = '';
let smtpPort = 0;
let options: string[] = [];
const starters: Starter[] = [];
const sinks: SmtpSink[] = [];

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'postrider-start-'));
  const ports = await freePorts(3);
  smtpPort = ports[0]!;
  options = ['--data', dataDir, '--smtp-port', `${ports[0]}`, '--smtps-port', `${ports[1]}`];
  options.push('--admin-port', `${ports[2]}`);
});

afterEach(async () => {
  await Promise.all(sinks.splice(0).map((sink) => sink.close()));
  await Promise.all(starters.splice(0).map((starter) => starter.kill('SIGKILL')));
  for (const pid of processesWith(dataDir)) process.kill(pid, 'SIGKILL');
  await until(() => processesWith(dataDir).length === 0);
  rmSync(dataDir, { recursive: true, force: true });
});

function start(...more: string[]): Starter {
  const starter = new Starter([...options, ...more]);
  starters.push(starter);
  return starter;
}

async function started(...more: string[]): Promise<Starter> {
  const starter = start(...more);
  await starter.ready();
  return starter;
}

function until(condition: () => boolean, what = 'it'): Promise<void> {
  return waitUntil(condition, 30_000, what);
}

/** Offers the mail once; the last reply. */
async function offer(recipient: string, tls: 'none' | 'implicit', port: number): Promise<string> {
  const client = await SmtpClient.open(port, tls);
  const mail = { reversePath: 'you@example.com', forwardPaths: [recipient], data: MAIL };
  const { last } = await client.send(mail);
  await client.quit();
  return last.text;
}

/** Sends the mail; returns its queue id. */
async function send(recipient: string, tls: 'none' | 'implicit' = 'none', port = smtpPort): Promise<string> {
  const reply = await offer(recipient, tls, port);
  expect(reply).toMatch(/^250 2\.0\.0 Ok: queued as \S+$/);
  return reply.split(' ').at(-1)!;
}

/** Sends the mail as a client does that comes again when it is told to: recipients were answered 451. */
async function sendPatiently(recipient: string): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await offer(recipient, 'none', smtpPort)).startsWith('250')) {
    if (Date.now() > end) throw new Error('the mail was never taken');
    await pause(200);
  }
}

/** Mails that arrived for a local part of the sample's local domain. */
function arrived(localPart: string): Buffer[] {
  const dir = join(dataDir, 'mail/postrider.test', localPart, 'new');
  return existsSync(dir) ? readdirSync(dir).map((name) => readFileSync(join(dir, name))) : [];
}

describe('A start', () => {
  test(
    'delivers a mail byte for byte, with its trace fields, and Ctrl-C leaves nothing running',
    async () => {
      const starter = await started();
      const queueId = await send('anyone@postrider.test');
      await until(() => arrived('anyone').length === 1, 'delivery');
      const [file] = arrived('anyone');
      const fields = file!.subarray(0, file!.length - MAIL.length).toString('latin1');
      expect(file!.subarray(file!.length - MAIL.length)).toEqual(MAIL);
      expect(fields).toMatch(/^Return-Path: <you@example\.com>\r\n/);
      expect(fields).toMatch(/\r\nReceived: from client\.test \(\[127\.0\.0\.1\]\)\r\n/);
      expect(fields).toContain(` id ${queueId};\r\n`);

      await send('other@postrider.test', 'implicit', Number(options[5]));
      await until(() => arrived('other').length === 1, 'delivery of what came by TLS');

      expect(processesWith(dataDir).length).toBeGreaterThan(4);
      expect(await starter.kill('SIGINT')).toBe('code 0');
      expect(processesWith(dataDir)).toEqual([]);
      const stopped = [...starter.output.matchAll(/^postrider: (\S+)-1?\S*: stopped/gm)].map(
        (match) => match[1],
      );
      expect(stopped).toEqual(['ingress', 'delivery', 'queue', 'resolver', 'nats']);
    },
    2 * MINUTES,
  );

  test(
    'says a line that sends a mail',
    async () => {
      const starter = await started();
      const lineOf = (tool: string) => starter.output.split('\n').find((line) => line.includes(`${tool} -`))!;
      expect(lineOf('swaks')).toContain(`127.0.0.1:${smtpPort}`);
      expect(lineOf('curl')).toContain(`127.0.0.1:${smtpPort}`);
      const tool = ['swaks', 'curl'].find((name) => isInstalled(name));
      // A machine without both can still run this test: the line is then only read.
      if (tool === undefined) return;
      execFileSync('sh', ['-c', lineOf(tool)], { stdio: 'pipe' });
      await until(() => arrived('anyone').length === 1, 'delivery');
    },
    2 * MINUTES,
  );

  test(
    'after kill -9 of the starter goes on with the mail that was there',
    async () => {
      const sinkPort = await freePort();
      const config = join(dataDir, 'postrider.yaml');
      const sample = readFileSync('deploy/local/postrider.yaml', 'utf8')

        .replaceAll('127.0.0.1:2526', `127.0.0.1:${sinkPort}`)
        .replace(
          '# retry:',
          'retry: { schedule: [1 s] }\ndelivery: { backoffMin: 1 s, backoffMax: 2 s }\n# retry:',
        );
      writeFileSync(config, sample);
      const first = await started('--config', config);
      const queueId = await send('someone@routed.test');
      expect(await first.kill('SIGKILL')).toBe('SIGKILL');

      const sink = await startSmtpSink({ port: sinkPort });
      sinks.push(sink);
      await started('--config', config);
      await until(() => sink.mails.length > 0, 'delivery to the sink');
      expect(sink.mails.map((mail) => mail.queueId)).toEqual([queueId]);
      expect(sink.mails[0]!.data.subarray(-MAIL.length)).toEqual(MAIL);
    },
    2 * MINUTES,
  );

  test.each([
    ['delivery-1', 'run/delivery-1.yaml'],
    ['nats-server', 'run/nats-server.conf'],
  ])(
    'starts %s again when it was killed',
    async (name, file) => {
      const starter = await started();
      const [pid] = processesWith(join(dataDir, file));
      process.kill(pid!, 'SIGKILL');
      await starter.says(`${name} ended with signal SIGKILL: started again`);
      await starter.says(`${name} is ready again`);
      await sendPatiently('anyone@postrider.test');
      await until(() => arrived('anyone').length === 1, 'delivery');
    },
    2 * MINUTES,
  );
});

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(':').some((dir) => existsSync(join(dir, program)));
}

describe('A start that cannot be', () => {
  test('names the port that is taken, its key and the option', async () => {
    const other = createServer();
    await new Promise<void>((done) => other.listen(smtpPort, '127.0.0.1', done));
    const starter = start();
    expect(await starter.ended()).toBe('code 1');
    expect(starter.output).toContain(
      `listeners[0].port: 127.0.0.1:${smtpPort} is taken by another program; change listeners[0].port or give --smtp-port`,
    );
    await new Promise((done) => other.close(done));
  });

  test('names the process that uses the data directory', async () => {
    const first = await started('--ingress', '0', '--queue', '0', '--resolver', '0', '--delivery', '0');
    const second = start();
    expect(await second.ended()).toBe('code 1');
    expect(second.output).toMatch(/ is in use by process \d+: stop that one or give another --data/);
    expect(await first.kill('SIGTERM')).toBe('code 0');
  });

  test('names the line and the key of a configuration that is wrong', async () => {
    const config = join(dataDir, 'wrong.yaml');
    writeFileSync(config, 'nats:\n  urk: 1\n');
    const starter = start('--config', config);
    expect(await starter.ended()).toBe('code 1');
    expect(starter.output).toBe(`postrider: ${config}:2: nats.urk: unknown key\n`);
  });

  test('names an option that is wrong', async () => {
    const starter = start('--queue', 'many');
    expect(await starter.ended()).toBe('code 1');
    expect(starter.output).toContain("argument 'many' is invalid. expected a whole number between 0 and 64");
  });
});
