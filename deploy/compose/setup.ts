// Runs once before everything else, as root in the image of the services: makes passwords for the users of NATS and a
// certificate, fills the name of each service into its configuration, and gives the volumes to the user that uses them.
// Run again, it keeps passwords and certificate.
//
// Fails: a volume that cannot be written -> the error, exit 1, and nothing else starts.
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '#libs/config/load.ts';
import { authorizationText, type NatsUser, natsUsers } from '#libs/nats/permissions.ts';
import { makeSelfSigned } from '#libs/tls/self-signed.ts';

const SETUP = '/setup';
/** Volumes, and their owner: user and group of the services, and of nats-server here. */
const VOLUMES = [SETUP, '/mail', '/data/1', '/data/2', '/data/3'];
const OWNER = 10_001;
const PASSWORD_OCTETS = 24;

const template = readFileSync(new URL('./postrider.yaml', import.meta.url), 'utf8');

function folder(path: string): void {
  mkdirSync(path, { recursive: true });
  chownSync(path, OWNER, OWNER);
  chmodSync(path, 0o700);
}

function write(path: string, text: string): void {
  writeFileSync(path, text);
  chownSync(path, OWNER, OWNER);
  chmodSync(path, 0o400);
}

function passwordOf(user: NatsUser): string {
  const file = join(SETUP, user, 'password');
  if (!existsSync(file)) write(file, randomBytes(PASSWORD_OCTETS).toString('base64url'));
  return readFileSync(file, 'utf8');
}

function writeUsers(): void {
  const logins = {} as Record<NatsUser, { password: string }>;
  for (const user of natsUsers) {
    folder(join(SETUP, user));
    write(join(SETUP, user, 'user'), user);
    write(join(SETUP, user, 'postrider.yaml'), template.replaceAll('<service>', user));
    logins[user] = { password: passwordOf(user) };
  }
  const { spoolStreams } = parseConfig('postrider.yaml', template).nats;
  folder(join(SETUP, 'nats'));
  write(join(SETUP, 'nats', 'users.conf'), authorizationText({ spoolStreams }, logins));
}

function writeCertificate(): void {
  const place = join(SETUP, 'tls');
  folder(place);
  if (existsSync(join(place, 'key.pem'))) return;
  const { certificate, key } = makeSelfSigned('mx.postrider.test');
  write(join(place, 'certificate.pem'), certificate);
  write(join(place, 'key.pem'), key);
}

for (const volume of VOLUMES) folder(volume);
writeUsers();
writeCertificate();
console.log(`${natsUsers.length} users of NATS, their configuration and a certificate are ready`);
