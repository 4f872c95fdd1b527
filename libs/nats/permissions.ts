// What each user of NATS may publish and subscribe, and nothing else: one user per service, named after it. Pure.
//
// Subjects hold "<k>" where one entry per SPOOL or STORE stream is meant: a wildcard of NATS stands for a whole token, so
// "SPOOL_*" would match nothing. The table assumes `nats.provision: check`: nobody but `provision` may make or change a stream,
// and nobody at all may delete one that has mail in it.
//
// What it cannot prevent: the API of JetStream answers to any subject that the asker names, and pushes records to any
// `deliver_subject`. Who may ask it can thus send what it may read anyway to subjects that it may not publish to itself.
import type { Layout } from './layout.ts';

/** Everybody who logs in at NATS. */
export type NatsUser = 'ingress' | 'queue' | 'resolver' | 'delivery' | 'console' | 'provision';

/** Subjects, with NATS's own wildcards. What is not named is refused; but an empty list would allow everything. */
export interface Subjects {
  allow: readonly string[];
}

/** In the words of nats-server's configuration. */
export interface Permissions {
  publish: Subjects;
  subscribe: Subjects;
  /** May answer each message that has a reply subject: so often, and for so long. */
  allow_responses?: { max: number; expires: string };
}

/** How a user proves who it is. */
export type Login = { password: string } | { nkey: string };

/** Nothing but its own inboxes. */
const nothing = (user: NatsUser): Subjects => ({ allow: [`_INBOX.${user}.>`] });
/**
 * An answer per question; who asks, queue or ingress, has given up long before. A second subscription of the same connection that
 * hears the question uses the one answer up (nats-server 2.15.1): services have one for each subject.
 */
const ANSWERS = { max: 1, expires: '1m' };

const api = (call: string) => `$JS.API.${call}`;

/** Reads single records: from any replica, then from the leader. */
const readsRecords = (stream: string) => [api(`DIRECT.GET.${stream}`), api(`STREAM.MSG.GET.${stream}`)];

/** Reads subjects in order, up to what the leader has last (STREAM.MSG.GET): makes push consumers for just these, answers their flow control, removes them. */
const readsInOrder = (stream: string, subject: string) => [
  api(`CONSUMER.CREATE.${stream}.*.${subject}`),
  api(`CONSUMER.DELETE.${stream}.*`),
  `$JS.FC.${stream}.>`,
];

const STREAMS = ['SPOOL_<k>', 'STORE_<k>', 'SETTLE', 'QUEUE', 'CHECKPOINTS', 'QUARANTINE', 'RULES'];

/** Reads the rules of operators. */
const readsRules = [api('STREAM.MSG.GET.RULES')];

/** The table. "<k>" stands for the number of a SPOOL or STORE stream. */
export const permissionTable: Readonly<Record<NatsUser, Permissions>> = {
  /** Writes mail and reads none; removes the chunks of a mail that its client broke off; follows the rules of operators. */
  ingress: {
    publish: {
      allow: [
        'spool.*',
        'store.*',
        'resolve.recipient',
        api('STREAM.MSG.DELETE.STORE_<k>'),
        api('STREAM.INFO.SPOOL_<k>'),
        api('STREAM.INFO.STORE_<k>'),
        ...readsRules,
        ...readsInOrder('RULES', 'rules.*'),
        api('STREAM.INFO.RULES'),
      ],
    },
    subscribe: { allow: ['_INBOX.ingress.>'] },
  },
  /** Owns all that is stored. To its own inboxes it publishes what one instance answers to another. */
  queue: {
    publish: {
      allow: [
        'spool.*',
        'store.*',
        'settle.*',
        'quarantine.*',
        'queue.*.owner',
        'queue.*.m.*',
        'checkpoint.*',
        'fence.*',
        'deliver.*',
        'outcome-ack.*',
        'inflight.*',
        'resolve.route',
        'rules.*',
        'presence.queue',
        'admin.queue.list',
        'admin.queue.flush',
        '_INBOX.queue.>',
        ...readsRecords('SPOOL_<k>'),
        ...readsInOrder('SPOOL_<k>', 'spool.*'),
        api('STREAM.PURGE.SPOOL_<k>'),
        // Settled packs that a purge would reach only behind one that is not.
        api('STREAM.MSG.DELETE.SPOOL_<k>'),
        ...readsRecords('STORE_<k>'),
        api('STREAM.MSG.DELETE.STORE_<k>'),
        api('STREAM.MSG.GET.SETTLE'),
        ...readsInOrder('SETTLE', 'settle.*'),
        api('STREAM.PURGE.SETTLE'),
        api('STREAM.MSG.GET.QUEUE'),
        ...readsInOrder('QUEUE', 'queue.*.m.*'),
        api('STREAM.PURGE.QUEUE'),
        api('STREAM.MSG.DELETE.QUEUE'),
        ...readsRecords('QUARANTINE'),
        ...readsInOrder('QUARANTINE', 'quarantine.*'),
        api('STREAM.MSG.DELETE.QUARANTINE'),
        api('STREAM.MSG.GET.CHECKPOINTS'),
        ...readsInOrder('CHECKPOINTS', 'checkpoint.*'),
        api('STREAM.PURGE.CHECKPOINTS'),
        ...readsRules,
        ...STREAMS.map((stream) => api(`STREAM.INFO.${stream}`)),
      ],
    },
    subscribe: {
      allow: [
        'outcome.*',
        'checkpoint.*',
        'presence.queue',
        'presence.delivery',
        'admin.queue.list',
        'admin.queue.flush',
        '_INBOX.queue.>',
      ],
    },
  },
  /** Answers; stores and reads nothing. */
  resolver: {
    publish: nothing('resolver'),
    subscribe: { allow: ['resolve.route', 'resolve.recipient', '_INBOX.resolver.>'] },
    allow_responses: ANSWERS,
  },
  /** Reads mail data, changes nothing that is stored. */
  delivery: {
    publish: {
      allow: [
        'outcome.*',
        'checkpoint.*',
        'presence.delivery',
        ...readsRecords('SPOOL_<k>'),
        ...readsRecords('STORE_<k>'),
        api('STREAM.MSG.GET.CHECKPOINTS'),
        api('STREAM.INFO.CHECKPOINTS'),
      ],
    },
    subscribe: {
      allow: [
        'deliver.*',
        'inflight.*',
        'outcome-ack.*',
        'presence.delivery',
        'presence.queue',
        '_INBOX.delivery.>',
      ],
    },
    allow_responses: ANSWERS,
  },
  /** The operator's commands ask queue over gRPC: no subject is theirs yet. */
  console: { publish: nothing('console'), subscribe: { allow: ['_INBOX.console.>'] } },
  /** Makes and changes streams; sees neither mail nor queue. */
  provision: {
    publish: {
      allow: [
        ...STREAMS.flatMap((stream) => [api(`STREAM.CREATE.${stream}`), api(`STREAM.UPDATE.${stream}`)]),
        // Streams of an earlier layout too.
        api('STREAM.INFO.*'),
        api('STREAM.NAMES'),
        // It is made anew when the number of its copies becomes more than one.
        api('STREAM.DELETE.CHECKPOINTS'),
      ],
    },
    subscribe: { allow: ['_INBOX.provision.>'] },
  },
};

/** Everybody, in the order of the table. */
export const natsUsers = Object.keys(permissionTable) as readonly NatsUser[];

/** The permissions of a user, with every stream of the layout named. */
export function permissionsOf(user: NatsUser, layout: Pick<Layout, 'spoolStreams'>): Permissions {
  const { publish, subscribe, ...rest } = permissionTable[user];
  return { publish: spelledOut(publish, layout), subscribe: spelledOut(subscribe, layout), ...rest };
}

function spelledOut(subjects: Subjects, { spoolStreams }: Pick<Layout, 'spoolStreams'>): Subjects {
  const numbers = Array.from({ length: spoolStreams }, (_, k) => String(k));
  const each = (subject: string) => numbers.map((k) => subject.replaceAll('<k>', k));
  return {
    allow: subjects.allow.flatMap((subject) => (subject.includes('<k>') ? each(subject) : [subject])),
  };
}

/** The `authorization` block of nats-server's configuration: these users and nobody else. */
export function authorizationText(
  layout: Pick<Layout, 'spoolStreams'>,
  logins: Readonly<Record<NatsUser, Login>>,
): string {
  const users = natsUsers.map((user) => {
    const login = logins[user];
    // Who logs in by nkey has no name beside it.
    const name = 'password' in login ? { user, ...login } : login;
    return `  ${JSON.stringify({ ...name, permissions: permissionsOf(user, layout) })}\n`;
  });
  return `authorization: { users: [\n${users.join('')}] }\n`;
}

/** Whether a user may publish or subscribe to a subject, as nats-server decides it; answers to questions apart. */
export function allows(subjects: Subjects, subject: string): boolean {
  const tokens = subject.split('.');
  return subjects.allow.some((pattern) => matches(pattern.split('.'), tokens));
}

function matches(pattern: readonly string[], tokens: readonly string[]): boolean {
  if (pattern.at(-1) === '>') {
    const fixed = pattern.slice(0, -1);
    return tokens.length > fixed.length && matches(fixed, tokens.slice(0, fixed.length));
  }
  return (
    pattern.length === tokens.length && pattern.every((token, i) => token === '*' || token === tokens[i])
  );
}
