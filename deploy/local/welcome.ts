// What the terminal shows when everything runs: where mail comes in, where it goes, what to try first.
import { relative } from 'node:path';
import type { Config } from '#libs/config/schema.ts';
import type { Ready } from './kept-child.ts';

export interface WelcomeOptions {
  config: Config;
  dataDir: string;
  nats: string;
  /** What each instance said when it was ready. */
  instances: { name: string; ready: Ready }[];
}

const SAMPLE_SENDER = 'you@example.com';

function row(label: string, text: string): string {
  return `  ${label.padEnd(14)}${text}`;
}

/** Paths below the working directory are shown as such. */
export function shownPath(path: string): string {
  const shown = relative(process.cwd(), path);
  return shown === '' || shown.startsWith('..') ? path : shown;
}

const ROLE = { relay: 'mail for us, and to anywhere from relay networks', mx: 'mail for us' };
const TLS = { none: 'no TLS', starttls: 'STARTTLS', implicit: 'TLS from the start' };

function listenerRows({ listeners }: Config): string[] {
  return listeners.map(({ address, port, unixSocket, role, tls }) => {
    const where = unixSocket ?? `${address}:${port}`;
    return row(tls === 'implicit' ? 'SMTPS' : 'SMTP', `${where.padEnd(18)} ${ROLE[role]}; ${TLS[tls]}`);
  });
}

function destinationRows({ localDomains, routes, smartHost }: Config): string[] {
  const local = localDomains.map(({ name, recipients, gateway }) => {
    const who = recipients.includes('*') ? `*@${name}` : `${recipients.join(', ')}@${name}`;
    if ('lmtp' in gateway) return row('mail for', `${who} goes to ${gateway.lmtp} by lmtp`);
    const dir = gateway.maildir.replace('{domain}', name).replace('{local}', '<local part>');
    return row('mail for', `${who} arrives in ${shownPath(dir)}/new`);
  });
  const routed = routes.map(({ domain, to, transport }) =>
    row('mail for', `${domain} goes to ${to} by ${transport}`),
  );
  const rest = smartHost === undefined ? 'goes where DNS says (MX)' : `goes to ${smartHost}`;
  return [...local, ...routed, row('other mail', rest)];
}

function instanceRows(instances: WelcomeOptions['instances']): string[] {
  return instances.map(({ name, ready }) => row(name, `metrics http://${ready.metrics}/metrics`));
}

function firstSteps({ config }: WelcomeOptions): string[] {
  const recipient = `anyone@${config.localDomains[0]?.name ?? config.routes[0]?.domain ?? 'example.com'}`;
  const listener = config.listeners.find(({ port, tls }) => port !== undefined && tls !== 'implicit');
  if (listener === undefined) return [];
  const server = `${listener.address}:${listener.port}`;
  const text = "printf 'Subject: hello\\r\\n\\r\\nHello.\\r\\n'";
  return [
    'Send a mail:',
    `  swaks --server ${server} --from ${SAMPLE_SENDER} --to ${recipient}`,
    'or without swaks:',
    `  ${text} | curl -sS smtp://${server} --mail-from ${SAMPLE_SENDER} --mail-rcpt ${recipient} -T -`,
    '',
  ];
}

function queueLine(admin: unknown): string {
  const isDefault = admin === undefined || admin === '127.0.0.1:7070';
  return `  npm run postrider -- queue ls${isDefault ? '' : ` --admin ${admin}`}`;
}

export function welcome(options: WelcomeOptions): string {
  const { config, dataDir, nats, instances } = options;
  const admin = instances.find(({ ready }) => ready.admin !== undefined)?.ready.admin;
  return [
    '',
    'Postrider is ready.',
    '',
    ...listenerRows(config),
    ...destinationRows(config),
    row('queue admin', String(admin ?? 'not here')),
    row('nats-server', nats),
    ...instanceRows(instances),
    row('logs', `${shownPath(dataDir)}/log`),
    '',
    ...firstSteps(options),
    'Look at the queue:',
    queueLine(admin),
    '',
    'Ctrl-C drains and stops everything.',
    '',
  ].join('\n');
}
