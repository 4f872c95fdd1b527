import { chmod, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { MaildirGateway } from './maildir.ts';
import { maildirOf, mailFileName, safeSegment } from './maildir-path.ts';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'maildir-'));
});

afterEach(async () => {
  await chmod(root, 0o700);
  await rm(root, { recursive: true });
});

async function* octetsOf(...pieces: string[]): AsyncGenerator<Uint8Array[]> {
  for (const piece of pieces) yield [Buffer.from(piece), Buffer.alloc(0)];
}

function mailOf(directory: string, ...pieces: string[]) {
  const pass = async (): Promise<'passed' | 'refused'> => 'passed';
  return { directory, fileName: '1.q_0.host', pieces: octetsOf(...pieces), pass };
}

describe('the Maildir gateway', () => {
  test('makes the Maildir and puts the mail into new/, octet for octet', async () => {
    const gateway = new MaildirGateway();
    const directory = join(root, 'a', 'b');
    expect(await gateway.store(mailOf(directory, 'From: x\r\n\r\n', '.\r\nend\r\n'), 0)).toEqual({
      kind: 'delivered',
    });
    expect(await readFile(join(directory, 'new', '1.q_0.host'), 'latin1')).toBe(
      'From: x\r\n\r\n.\r\nend\r\n',
    );
    expect((await readdir(directory)).sort()).toEqual(['cur', 'new', 'tmp']);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  test('does not have the mail in new/ before the checkpoint is passed', async () => {
    const seen: string[][] = [];
    const pass = async () => {
      seen.push(await readdir(join(root, 'new')), await readdir(join(root, 'tmp')));
      return 'passed' as const;
    };
    await new MaildirGateway().store({ ...mailOf(root, 'x\r\n'), pass }, 0);
    expect(seen).toEqual([[], ['1.q_0.host']]);
    expect(await readdir(join(root, 'new'))).toEqual(['1.q_0.host']);
  });

  test('does not put a mail there whose checkpoint is refused, and leaves nothing of it behind', async () => {
    const gateway = new MaildirGateway();
    const pass = async () => 'refused' as const;
    expect(await gateway.store({ ...mailOf(root, 'x\r\n'), pass }, 0)).toEqual({ kind: 'not passed' });
    await gateway.close();
    expect([await readdir(join(root, 'new')), await readdir(join(root, 'tmp'))]).toEqual([[], []]);
  });

  test('stores a repeated attempt once, even when a reader has moved the mail to cur/', async () => {
    await new MaildirGateway().store(mailOf(root, 'first\r\n'), 0);
    await new MaildirGateway().store(mailOf(root, 'again\r\n'), 0);
    expect(await readFile(join(root, 'new', '1.q_0.host'), 'latin1')).toBe('first\r\n');
    await rename(join(root, 'new', '1.q_0.host'), join(root, 'cur', '1.q_0.host:2,S'));
    expect(await new MaildirGateway().store(mailOf(root, 'again\r\n'), 0)).toEqual({ kind: 'delivered' });
    expect(await readdir(join(root, 'new'))).toEqual([]);
    expect(await readFile(join(root, 'cur', '1.q_0.host:2,S'), 'latin1')).toBe('first\r\n');
  });

  test('knows a delivered mail by its name in new/ when tmp/ was cleaned', async () => {
    const gateway = new MaildirGateway();
    await gateway.store(mailOf(root, 'first\r\n'), 0);
    await gateway.close();
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    await gateway.store(mailOf(root, 'again\r\n'), 0);
    expect(await readFile(join(root, 'new', '1.q_0.host'), 'latin1')).toBe('first\r\n');
  });

  test('overwrites what an attempt left half written', async () => {
    const gateway = new MaildirGateway();
    const failing = {
      ...mailOf(root, 'a long first try\r\n'),
      pass: () => Promise.reject(new Error('killed')),
    };
    await expect(gateway.store(failing, 0)).rejects.toThrow('killed');
    await gateway.store(mailOf(root, 'short\r\n'), 0);
    expect(await readFile(join(root, 'new', '1.q_0.host'), 'latin1')).toBe('short\r\n');
  });

  test('takes nothing away from what another attempt puts there meanwhile, whatever becomes of it', async () => {
    const whole = 'all of it\r\n';
    const lost: AsyncIterable<Uint8Array[]> = {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('lost')) }),
    };
    const stored: string[] = [];
    for (let laterBy = 0; laterBy < 80; laterBy++) {
      const directory = join(root, `${laterBy}`);
      const gateway = new MaildirGateway();
      const late = { ...mailOf(directory), pieces: lost };
      const first = gateway.store(mailOf(directory, whole), 0);
      for (let looks = 0; looks < laterBy % 40; looks++) await stat(root);
      await gateway.store(late, 0).catch(() => {});
      await first;
      stored.push(await readFile(join(directory, 'new', '1.q_0.host'), 'latin1'));
    }
    expect(stored.filter((text) => text !== whole)).toEqual([]);
  }, 30_000);

  test('lets the proof in tmp/ stay for a minute', async () => {
    const gateway = new MaildirGateway();
    await gateway.store(mailOf(root, 'x\r\n'), 1000);
    gateway.sweep(60_999);
    expect(await readdir(join(root, 'tmp'))).toHaveLength(1);
    gateway.sweep(61_000);
    for (let i = 0; i < 100 && (await readdir(join(root, 'tmp'))).length > 0; i++) await stat(root);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  test('says why the system refused', async () => {
    await writeFile(join(root, 'file'), '');
    const refused = await new MaildirGateway().store(mailOf(join(root, 'file')), 0);
    expect(refused).toEqual({ kind: 'refused', code: 'ENOTDIR' });
  });

  test('stores many mails of one Maildir at once', async () => {
    const gateway = new MaildirGateway();
    const names = Array.from({ length: 50 }, (_, i) => `1.q_${i}.host`);
    const stored = names.map((fileName) =>
      gateway.store({ ...mailOf(root, `${fileName}\r\n`), fileName }, 0),
    );
    for (const result of await Promise.all(stored)) expect(result).toEqual({ kind: 'delivered' });
    expect((await readdir(join(root, 'new'))).sort()).toEqual(names.sort());
  });
});

describe('names in a Maildir', () => {
  test.each([
    ['alice', 'alice'],
    ['Alice.Smith+tag', 'alice.smith+tag'],
    ['..', '%2E.'],
    ['.hidden', '%2Ehidden'],
    ['../../etc/passwd', '%2E.%2F..%2Fetc%2Fpasswd'],
    ['a\0b', 'a%00b'],
    ['a%2Fb', 'a%252fb'],
    ['', '%'],
    ['ü', '%C3%BC'],
    ['[127.0.0.1]', '%5B127.0.0.1%5D'],
  ])('%j becomes %s', (name, segment) => {
    expect(safeSegment(name)).toBe(segment);
  });

  test('fill the template, each as one segment', () => {
    expect(maildirOf('/m/{domain}/{local}', '"../x"@Example.COM')).toBe('/m/example.com/%2E.%2Fx');
    expect(maildirOf('/m/{local}', 'Postmaster')).toBe('/m/postmaster');
    expect(maildirOf('/m/{domain}/{local}', '"{domain}"@x')).toBe('/m/x/%7Bdomain%7D');
  });

  test('are the same at every attempt for a recipient', () => {
    const mail = { queueId: '0'.repeat(20), acceptedAtMs: 1_700_000_000_999, hostname: 'mx/1.example' };
    expect(mailFileName(mail, 3)).toBe(`1700000000.${'0'.repeat(20)}_3.mx_1.example`);
  });
});
