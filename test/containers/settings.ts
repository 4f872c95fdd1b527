// The configuration of the cluster in containers: one file for all services, as a ConfigMap would hold it, and one per
// nats-server.
import { stringify } from 'yaml';
import type { ConfigInput } from '#kit/cluster.ts';
import { authorizationText, type NatsUser, natsUsers } from '#libs/nats/permissions.ts';

export const PORT = { smtp: 2525, health: 8086, metrics: 9464, nats: 4222, natsMonitor: 8222 } as const;
export const NATS_NODES = ['nats-0', 'nats-1', 'nats-2'] as const;
/** Sites: ports of the sink, one domain each. */
export const SITES = 32;
export const SINK = { name: 'sink', firstPort: 2601 } as const;
export const DOMAIN = 'containers.test';

/** Where everybody finds who it is to NATS, as files "user" and "password". */
export const CREDENTIALS = '/etc/postrider/nats';
const SPOOL_STREAMS = 3;

/** No secret: the network is gone with the test. */
export const passwordOf = (user: NatsUser): string => `password-of-${user}`;

const everyService = (port: number) => ({ ingress: port, queue: port, resolver: port, delivery: port });

export function serviceSettings(): string {
  const config: ConfigInput = {
    hostname: `mx.${DOMAIN}`,
    listeners: [{ address: '0.0.0.0', port: PORT.smtp, role: 'relay', tls: 'none' }],
    relayNetworks: ['0.0.0.0/0'],
    routes: Array.from({ length: SITES }, (_, site) => ({
      domain: `s${site}.${DOMAIN}`,
      to: `${SINK.name}:${SINK.firstPort + site}`,
    })),
    nats: {
      url: NATS_NODES.map((node) => `nats://${node}:${PORT.nats}`).join(','),
      credentials: { userFile: `${CREDENTIALS}/user`, passwordFile: `${CREDENTIALS}/password` },
      provision: 'check',
      replicas: 3,
      spoolStreams: SPOOL_STREAMS,
      spoolSizeMax: '512 MiB',
    },
    retry: { schedule: ['1 s', '2 s', '5 s'] },
    delivery: { backoffMin: '1 s', backoffMax: '5 s' },
    telemetry: { metricsAddress: '0.0.0.0', metricsPorts: everyService(PORT.metrics) },
    health: { address: '0.0.0.0', ports: everyService(PORT.health) },
    drain: { wait: '1 s', sessions: '10 s', attempts: '10 s', dots: '10 s' },
  };
  return stringify(config);
}

/** One node of the cluster; its name is its alias in the network. */
export function natsSettings(node: string): string {
  const logins = Object.fromEntries(natsUsers.map((user) => [user, { password: passwordOf(user) }]));
  const users = authorizationText(
    { spoolStreams: SPOOL_STREAMS },
    logins as Record<NatsUser, { password: string }>,
  );
  const routes = NATS_NODES.map((name) => `nats-route://${name}:6222`).join(', ');
  return `
server_name: ${node}
port: ${PORT.nats}
http_port: ${PORT.natsMonitor}
max_payload: 8MB
ping_interval: "10s"
ping_max: 2
lame_duck_grace_period: 2s
lame_duck_duration: 30s
cluster { name: postrider, port: 6222, routes: [${routes}] }
jetstream { store_dir: /data, sync_interval: always, max_mem: 256MB, max_file: 8GB }
${users}`;
}
