// The users of NATS with the permissions of libs/nats/permissions.ts, as files that a Secret would hold.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from '#libs/nats/layout.ts';
import { authorizationText, type NatsUser, natsUsers } from '#libs/nats/permissions.ts';

export interface NatsUsers {
  /** Lines for nats-server's configuration. */
  readonly authorization: string;
  /** For `nats.credentials`. */
  credentialsOf(user: NatsUser): { userFile: string; passwordFile: string };
}

/** Makes the files in `folder`; each user has a password of its own. */
export function makeNatsUsers(folder: string, layout: Pick<Layout, 'spoolStreams'>): NatsUsers {
  const logins = Object.fromEntries(natsUsers.map((user) => [user, { password: `secret of ${user}` }]));
  for (const user of natsUsers) {
    writeFileSync(join(folder, `${user}.user`), `${user}\n`);
    writeFileSync(join(folder, `${user}.password`), `secret of ${user}\n`);
  }
  return {
    authorization: authorizationText(layout, logins as Record<NatsUser, { password: string }>),
    credentialsOf: (user) => ({
      userFile: join(folder, `${user}.user`),
      passwordFile: join(folder, `${user}.password`),
    }),
  };
}
