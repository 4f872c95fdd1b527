// An operator, an account with JetStream and a user of it, made on the spot: for a nats-server that trusts JWTs, and the
// .creds file of a client.
import { createHash } from 'node:crypto';
import { nkeys } from '@nats-io/nats-core';

type KeyPair = ReturnType<typeof nkeys.createUser>;

const text = (octets: Uint8Array) => Buffer.from(octets).toString();

/** A claim that `issuer` makes about `subject`, signed. */
function jwtOf(issuer: KeyPair, subject: KeyPair, nats: Record<string, unknown>): string {
  const claims = {
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: 'test',
    nats: { ...nats, version: 2 },
  };
  const jti = createHash('sha256').update(JSON.stringify(claims)).digest('hex');
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode({ jti, ...claims })}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`;
}

/** Lines of a server's configuration, and the .creds file of its only user. */
export function jwtWorld(): { more: string; creds: string } {
  const [operator, system, account, user] = [
    nkeys.createOperator(),
    nkeys.createAccount(),
    nkeys.createAccount(),
    nkeys.createUser(),
  ];
  const limits = {
    subs: -1,
    conn: -1,
    leaf: -1,
    imports: -1,
    exports: -1,
    data: -1,
    payload: -1,
    wildcards: true,
  };
  const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const accountJwt = jwtOf(operator, account, { type: 'account', limits: { ...limits, ...storage } });
  const systemJwt = jwtOf(operator, system, { type: 'account', limits });
  const userJwt = jwtOf(account, user, { type: 'user', subs: -1, data: -1, payload: -1, pub: {}, sub: {} });
  const operatorJwt = jwtOf(operator, operator, {
    type: 'operator',
    system_account: system.getPublicKey(),
  });
  const line = '-----';
  return {
    more: `
operator: ${operatorJwt}
resolver: MEMORY
resolver_preload: { ${account.getPublicKey()}: ${accountJwt}, ${system.getPublicKey()}: ${systemJwt} }
system_account: ${system.getPublicKey()}
`,
    creds: [
      `${line}BEGIN NATS USER JWT${line}`,
      userJwt,
      `------END NATS USER JWT------`,
      '',
      `${line}BEGIN USER NKEY SEED${line}`,
      text(user.getSeed()),
      `------END USER NKEY SEED------`,
      '',
    ].join('\n'),
  };
}
