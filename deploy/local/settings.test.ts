import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parseConfig } from '#libs/config/load.ts';
import { readSettings, wantedPorts } from './settings.ts';
import { parseStartOptions } from './start-options.ts';

const dir = mkdtempSync(join(tmpdir(), 'postrider-settings-'));
afterAll(() => rmSync(dir, { recursive: true }));

function configFile(text: string): string {
  const file = join(dir, 'my.yaml');
  writeFileSync(file, text);
  return file;
}

const options = (...args: string[]) => parseStartOptions(['--data', dir, ...args]);

describe('The sample configuration', () => {
  test('keeps its files in the data directory', async () => {
    const { config } = await readSettings(options());
    expect(config.localDomains[0]!.gateway).toEqual({ maildir: `${dir}/mail/{domain}/{local}` });
    expect(config.tls).toEqual({
      certificate: `${dir}/tls/certificate.pem`,
      key: `${dir}/tls/key.pem`,
    });
  });

  test('listens where the options say', async () => {
    const given = options('--smtp-port', '3025', '--smtps-port', '3465', '--admin-port', '3070');
    const settings = await readSettings(given);
    expect(settings.config.listeners.map(({ port, tls }) => [port, tls])).toEqual([
      [3025, 'starttls'],
      [3465, 'implicit'],
    ]);
    expect(wantedPorts(settings, given).map(({ key, port, option }) => [key, port, option])).toEqual([
      ['listeners[0].port', 3025, '--smtp-port'],
      ['listeners[1].port', 3465, '--smtps-port'],
      ['admin.port', 3070, '--admin-port'],
    ]);
  });
});

describe('Port 0', () => {
  test('becomes a port that is free', async () => {
    const { config } = await readSettings(options('--smtp-port', '0', '--admin-port', '0'));
    expect(config.listeners[0]!.port).toBeGreaterThan(1023);
    expect(config.admin.port).toBeGreaterThan(1023);
  });
});

describe('The file of an instance', () => {
  test('has the NATS server and the log level', async () => {
    const settings = await readSettings(options('--log-level', 'debug'));
    const file = settings.write('delivery', 1, 'nats://127.0.0.1:999');
    const config = parseConfig(file, readFileSync(file, 'utf8'));
    expect(config.nats.url).toBe('nats://127.0.0.1:999');
    expect(config.telemetry.logLevel).toBe('debug');
  });

  test('has ports of its own from the second instance on', async () => {
    const given = options('--ingress', '2', '--queue', '2', '--smtp-port', '3025', '--smtps-port', '3465');
    const settings = await readSettings(given);
    const read = (file: string) => parseConfig(file, readFileSync(file, 'utf8'));
    const ports = (instance: number) =>
      read(settings.write('ingress', instance, 'nats://127.0.0.1:999')).listeners.map(({ port }) => port);
    expect(ports(1)).toEqual([3025, 3465]);
    expect(ports(2)).toEqual([3125, 3565]);
    expect(read(settings.write('queue', 1, 'nats://127.0.0.1:999')).admin.port).toBe(7070);
    expect(read(settings.write('queue', 2, 'nats://127.0.0.1:999')).admin.port).toBe(0);
    expect(wantedPorts(settings, given).map(({ port }) => port)).toEqual([3025, 3125, 3465, 3565, 7070]);
  });
});

describe("A user's file", () => {
  test('is refused under its own name', async () => {
    const file = configFile('nats:\n  urk: 1\n');
    await expect(readSettings(options('--config', file))).rejects.toThrow(`${file}:2: nats.urk: unknown key`);
  });

  test('may be empty', async () => {
    const file = configFile('');
    const { config, namesNatsServer } = await readSettings(options('--config', file, '--smtp-port', '3025'));
    expect(config.listeners.map(({ port }) => port)).toEqual([3025]);
    expect(namesNatsServer).toBe(false);
  });

  test('that names a NATS server is heard', async () => {
    const file = configFile('nats: { url: "nats://192.0.2.1:4222" }');
    expect((await readSettings(options('--config', file))).namesNatsServer).toBe(true);
  });

  test('that is not there is said to be so', async () => {
    await expect(readSettings(options('--config', '/nowhere.yaml'))).rejects.toThrow(
      '/nowhere.yaml: cannot be read (ENOENT)',
    );
  });
});
