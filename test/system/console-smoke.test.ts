// `postrider smoke` against a whole cluster: what `helm test` runs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { testCertificate, testKey } from '#kit/certificate.ts';
import { Cluster } from '#kit/cluster.ts';
import { freePort } from '#kit/cluster-ports.ts';
import { run } from '../../services/console/command-line.ts';

jest.setTimeout(60_000);

const DOMAIN = 'helm-test.postrider.invalid';
const LOST = 'lost.postrider.invalid';

let folder: string;
let cluster: Cluster;
let listenPort: number;
let healthPort: number;

beforeAll(async () => {
  [listenPort, healthPort] = [await freePort(), await freePort()];
  const routes = [
    { domain: DOMAIN, to: `127.0.0.1:${listenPort}` },
    { domain: LOST, to: `127.0.0.1:${await freePort()}` },
  ];
  folder = mkdtempSync(join(tmpdir(), 'postrider-smoke-'));
  const tls = { certificate: join(folder, 'certificate.pem'), key: join(folder, 'key.pem') };
  writeFileSync(tls.certificate, testCertificate);
  writeFileSync(tls.key, testKey);
  cluster = await Cluster.start({
    config: { routes, tls, health: { ports: { queue: healthPort } } },
    listeners: [{ tls: 'starttls' }, { tls: 'none' }],
  });
});

afterAll(async () => {
  await cluster.stop();
  rmSync(folder, { recursive: true });
});

async function smoke(domain: string, line: string, listener = 0) {
  const said = { out: '', err: '', code: -1 };
  const places = `--smtp 127.0.0.1:${cluster.smtpPort(listener)} --domain ${domain} --listen 127.0.0.1:${listenPort}`;
  said.code = await run(['node', 'postrider', 'smoke', ...`${places} ${line}`.split(' ')], {
    env: {},
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    now: Date.now,
  });
  return said;
}

describe('postrider smoke', () => {
  test('follows a mail to its arrival, a line per step', async () => {
    const line = `--health 127.0.0.1:${healthPort} --admin ${cluster.adminAddress()} --timeout 30`;
    const { out, err, code } = await smoke(DOMAIN, line);
    expect([code, err]).toEqual([0, '']);
    const steps = out.split('\n').map((step) => step.replace(/\(\d+ ms\)|\d+\.\d s/, '<time>'));
    expect(steps).toEqual([
      `ok    sink: listens on 127.0.0.1:${listenPort} <time>`,
      `ok    health of 127.0.0.1:${healthPort}: 1 instance, serving <time>`,
      expect.stringMatching(/^ok {4}SMTP at .*: "220 mx\.cluster\.test ESMTP.*", TLSv1\.3 <time>$/),
      expect.stringMatching(/^ok {4}mail to smoke-.*@helm-test\.postrider\.invalid: accepted, queued as /),
      expect.stringMatching(/^ok {4}arrival: 1,\d+ octets as they were sent, from 127\.0\.0\.1 <time>$/),
      'ok    queue: knows the mail no more: it is settled <time>',
      'Mail goes through, <time> in all.',
      '',
    ]);
  });

  test('sends without TLS where none is offered', async () => {
    const { out, code } = await smoke(DOMAIN, '--timeout 30', 1);
    expect([code, out]).toEqual([0, expect.stringContaining('", no STARTTLS (')]);
  });

  test('says in one line what did not happen', async () => {
    const { out, err, code } = await smoke(LOST, '--timeout 2');
    expect(code).toBe(1);
    expect(err).toMatch(/^postrider: arrival: the mail \S+ was accepted and has not arrived within 2 s\n$/);
    expect(out).toMatch(/\nFAIL {2}arrival: the mail .* \(\d+ ms\)\n$/);
  });

  test('says who is not healthy', async () => {
    const nobody = await freePort();
    const { err, code } = await smoke(DOMAIN, `--health 127.0.0.1:${nobody} --timeout 2`);
    expect(code).toBe(1);
    expect(err).toMatch(`postrider: health of 127.0.0.1:${nobody}: 127.0.0.1:${nobody} does not say`);
  });

  test('ends when its mail is refused', async () => {
    const { err, code } = await smoke('x'.repeat(64), '--timeout 5');
    expect([code, err]).toEqual([1, expect.stringContaining('MAIL was answered with "501')]);
  });
});
