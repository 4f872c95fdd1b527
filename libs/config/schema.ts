// Every key of the configuration file, declared once: type, unit, default and why. Unknown keys are refused.
import { z } from 'zod';
import { duration, size } from './units.ts';

const port = z.number().int().min(0).max(65_535);
const domainName = z.string().min(1).max(253).toLowerCase();

/** "host:port", "[::1]:port" or "unix:/path". */
const endpoint = z
  .string()
  .regex(
    /^(unix:\/.+|\[[0-9a-fA-F:.]+\]:\d{1,5}|[^\s:/]+:\d{1,5})$/,
    'expected host:port, [address]:port or unix:/path',
  );

/** A network such as "192.0.2.0/24"; checked in contradictions.ts. */
const network = z.string().min(1);

/** One port per service; 0 lets the system choose. */
const servicePorts = z
  .strictObject({
    ingress: port.default(0),
    queue: port.default(0),
    resolver: port.default(0),
    delivery: port.default(0),
  })
  .prefault({});

const listener = z.strictObject({
  address: z.string().default('127.0.0.1'),
  /** 0 lets the system choose. */
  port: port.optional(),
  unixSocket: z.string().optional(),
  /** mx takes mail for us from anyone; relay also takes mail to anywhere from relayNetworks. */
  role: z.enum(['mx', 'relay']).default('relay'),
  /** none offers no TLS; starttls offers it when a certificate is configured; implicit speaks TLS from the start. */
  tls: z.enum(['none', 'starttls', 'implicit']).default('starttls'),
  /**
   * Every connection begins with a PROXY header, version 1 or 2, that names the client; only these networks (load
   * balancers) may connect. Absent means that the peer is the client. Not for a Unix socket.
   */
  proxyProtocol: z
    .strictObject({
      trusted: z.array(network).min(1),
      headerWaitMax: duration('100 ms', '30 s').default(5_000),
    })
    .optional(),
});

const localDomain = z.strictObject({
  name: domainName,
  /** Local parts that exist; "*" means all. Compared without regard to case. */
  recipients: z.array(z.string().min(1)).min(1).default(['*']),
  gateway: z.union([
    /** Directory; {domain} and {local} are filled in. */
    z.strictObject({ maildir: z.string().min(1) }),
    z.strictObject({ lmtp: endpoint }),
  ]),
});

const route = z.strictObject({
  /** "example.com", ".example.com" (its subdomains) or "*" (everything that is not local). */
  domain: domainName,
  transport: z.enum(['smtp', 'lmtp']).default('smtp'),
  to: endpoint,
});

/** Who we are to NATS. Always files, which a Secret can hold: never a value, never the environment. */
const natsCredentials = z.union([
  z.strictObject({ userFile: z.string().min(1), passwordFile: z.string().min(1) }),
  /** Holds an nkey seed ("SU..."). */
  z.strictObject({ nkeySeedFile: z.string().min(1) }),
  /** A .creds file: JWT and seed. */
  z.strictObject({ credsFile: z.string().min(1) }),
]);

const natsTls = z.strictObject({
  /** PEM files. Without `ca` the system's authorities are trusted; certificate and key go together. */
  ca: z.string().min(1).optional(),
  certificate: z.string().min(1).optional(),
  key: z.string().min(1).optional(),
});

const nats = z.strictObject({
  /** One server or several of a cluster, separated by commas. */
  url: z.string().default('nats://127.0.0.1:4222'),
  credentials: natsCredentials.optional(),
  /** For tls:// servers and those that demand TLS. */
  tls: natsTls.optional(),
  /**
   * auto: services make the streams and let them grow. check: they wait until `postrider provision` has, and need no right to
   * change a stream.
   */
  provision: z.enum(['auto', 'check']).default('auto'),
  /** Copies of every record: 1 on one machine, 3 in a cluster. */
  replicas: z.number().int().min(1).max(5).default(1),
  /** Fixed for the life of the data: part of every queue id. */
  partitions: z.number().int().min(1).max(256).default(32),
  /** SPOOL and STORE streams: 1 on one machine (larger packs), 3 in a cluster (leaders on all nodes). */
  spoolStreams: z.number().int().min(1).max(16).default(1),
  /** Room for all waiting mail of one SPOOL or STORE stream; when full, ingress answers 452. */
  spoolSizeMax: size('1 MiB', '100000 GiB').default(20 * 1024 ** 3),
});

const retry = z.strictObject({
  /** Waits after each deferral; the last one repeats. Jittered by +-10 % from the queue id. */
  schedule: z.array(duration('1 s', '7 d')).min(1).default([60_000, 300_000, 900_000, 1_800_000, 3_600_000]),
  expireAfter: duration('1 s', '30 d').default(5 * 86_400_000),
  delayWarningAfter: duration('1 s', '30 d').default(4 * 3_600_000),
});

const limits = z.strictObject({
  messageSizeMax: size('64 KiB', '2 GiB').default(50 * 1024 ** 2),
  /** Mail over this goes to STORE in chunks of this size. */
  chunkSize: size('16 KiB', '1 MiB').default(512 * 1024),
  recipientsMax: z.number().int().min(100).max(50_000).default(1000),
  sessionsMax: z.number().int().min(1).max(100_000).default(2000),
  /** Octets of mail in ingress's memory, all sessions together; over it DATA answers 452. */
  memoryMax: size('8 MiB', '64 GiB').default(256 * 1024 ** 2),
  badCommandsMax: z.number().int().min(1).max(1000).default(20),
  receivedFieldsMax: z.number().int().min(10).max(1000).default(100),
  /** Wait for the next command or the next piece of mail data (RFC 5321 section 4.5.3.2.7: at least 5 min). */
  sessionIdleMax: duration('1 s', '1 h').default(300_000),
  /** How long a commit is retried before 451. */
  commitWaitMax: duration('1 s', '5 min').default(30_000),
  /**
   * Share of nats.spoolSizeMax from which a stream takes nothing more from clients, who hear 452 when all are there: the rest is
   * for what makes room (reports, retries).
   */
  spoolSoftMark: z.number().min(0.1).max(0.95).default(0.85),
});

const delivery = z.strictObject({
  /** Connections to one site, cluster-wide. */
  siteConnectionsMax: z.number().int().min(1).max(10_000).default(20),
  /** Connections of one worker to all its sites, idle ones included. Each is a file descriptor, and some memory. */
  connectionsMax: z.number().int().min(1).max(100_000).default(1000),
  /** Mails over one connection before it is closed; 0 means no limit. */
  connectionMailsMax: z.number().int().min(0).default(0),
  connectionIdleMax: duration('100 ms', '10 min').default(5_000),
  /** First and longest wait after a host was found down. */
  backoffMin: duration('100 ms', '1 h').default(15_000),
  backoffMax: duration('1 s', '1 d').default(600_000),
  /** Scales the timeouts of RFC 5321 section 4.5.3.2 (connect 30 s, greeting 5 min, ...): 1 is the RFC. */
  timeoutScale: z.number().min(0.001).max(10).default(1),
  /** Port of mail exchangers found by MX; other than 25 only for tests. */
  smtpPort: port.min(1).default(25),
  /** opportunistic uses STARTTLS where offered, without a check of the name; never does not. */
  tls: z.enum(['opportunistic', 'never']).default('opportunistic'),
  /** Octets of fetched packs kept for their other mails. */
  packCacheMax: size('1 MiB', '16 GiB').default(64 * 1024 ** 2),
  shards: z.number().int().min(1).max(256).default(256),
  /** What to do with an attempt lost between its final dot and its reply. */
  inDoubt: z.enum(['redeliver', 'hold']).default('redeliver'),
});

const dns = z.strictObject({
  /** "address" or "address:port"; empty means those of /etc/resolv.conf. */
  servers: z.array(z.string()).default([]),
  /**
   * Completes names of hosts in this file (routes, gateways, smartHost): "dovecot" may be "dovecot.example.com". Absent means
   * the search list of /etc/resolv.conf, with its ndots, when `servers` is empty, and none otherwise.
   */
  search: z.array(domainName).max(8).optional(),
  timeout: duration('100 ms', '60 s').default(3_000),
  tries: z.number().int().min(1).max(10).default(3),
  cacheEntriesMax: z.number().int().min(10).max(10_000_000).default(100_000),
  ttlMax: duration('1 s', '7 d').default(86_400_000),
  negativeTtlMax: duration('1 s', '1 d').default(900_000),
});

const telemetry = z.strictObject({
  /** Base URL of an OTLP/HTTP receiver ("http://127.0.0.1:4318"); without it no spans are made. */
  otlpEndpoint: z.url().optional(),
  /** Share of mails whose trace is kept; later attempts are always kept. */
  sampleRatio: z.number().min(0).max(1).default(0.1),
  /** Attempts that start within this time of acceptance belong to the mail's trace. */
  sameTraceWindow: duration('1 s', '1 d').default(3_600_000),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Prometheus endpoints, one per service; 0 lets the system choose. */
  metricsAddress: z.string().default('127.0.0.1'),
  metricsPorts: servicePorts,
  /** Mail from or to these is always traced, whatever the ratio. */
  alwaysSample: z
    .strictObject({
      addresses: z.array(z.string().min(3).toLowerCase()).default([]),
      /** Without their subdomains. */
      domains: z.array(domainName).default([]),
    })
    .prefault({}),
});

/** grpc.health.v1, plaintext and nothing else: what probes of an orchestrator ask. */
const health = z.strictObject({
  address: z.string().default('127.0.0.1'),
  ports: servicePorts,
});

/** What a stop waits for; an orchestrator's grace period must be longer than their sum. */
const drain = z.strictObject({
  /** Between "not ready" and the first refusal, so that load balancers look elsewhere. */
  wait: duration('0 s', '5 min').default(0),
  /** Mail data that is arriving may take so long; then it is cut with 421. */
  sessions: duration('1 s', '15 min').default(15_000),
  /** Attempts that run may take so long until they send their final dot; those that have not by then are given back. */
  attempts: duration('1 s', '15 min').default(20_000),
  /**
   * And so much longer may those take that have sent it: what has no reply by then is in doubt, and may be delivered twice. RFC 5321
   * section 4.5.3.2.6 gives the reply 10 min.
   */
  dots: duration('0 s', '15 min').default(120_000),
});

const admin = z.strictObject({
  address: z.string().default('127.0.0.1'),
  /** gRPC of the queue; 0 lets the system choose. */
  port: port.default(7070),
});

export const configSchema = z.strictObject({
  /** Our name in greetings and Received fields; absent means the machine's. */
  hostname: domainName.optional(),
  listeners: z
    .array(listener)
    .min(1)
    .default([{ address: '127.0.0.1', port: 2525, role: 'relay', tls: 'starttls' }]),
  tls: z.strictObject({ certificate: z.string(), key: z.string() }).optional(),
  /** Clients that may relay to anywhere (CIDR). */
  relayNetworks: z.array(z.string()).default(['127.0.0.0/8', '::1/128']),
  localDomains: z.array(localDomain).default([]),
  routes: z.array(route).default([]),
  /** Takes everything that no local domain and no route takes; absent means MX. */
  smartHost: endpoint.optional(),
  nats: nats.prefault({}),
  retry: retry.prefault({}),
  limits: limits.prefault({}),
  delivery: delivery.prefault({}),
  dns: dns.prefault({}),
  telemetry: telemetry.prefault({}),
  admin: admin.prefault({}),
  health: health.prefault({}),
  drain: drain.prefault({}),
});

/** The checked configuration: durations in milliseconds, sizes in octets. */
export type Config = z.output<typeof configSchema>;
