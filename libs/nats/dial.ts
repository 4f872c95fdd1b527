// Opens the connection to one of several NATS servers, as the configuration says.
//
// Fails: LinkError, after 30 s of tries, all files read anew for each: `away` when no server answers (waiting helps), `refused`
// when one does but credentials or certificates do not fit, `unreadable` when a file is not there (somebody must act).
import { AuthorizationError, type NatsConnection, UserAuthenticationExpiredError } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { authenticatorOf, type Credentials, checkReadable, filesOf, type TlsFiles } from './credentials.ts';

export interface DialOptions {
  /** One server or several of a cluster, separated by commas; the order does not matter. */
  url: string;
  credentials?: Credentials | undefined;
  /** With it, or with a tls:// URL, nothing is sent without TLS. */
  tls?: TlsFiles | undefined;
  /** How long the first connection is tried; 30 s when absent. */
  tryForMs?: number;
}

export type LinkTrouble = 'away' | 'refused' | 'unreadable';

export class LinkError extends Error {
  readonly kind: LinkTrouble;

  constructor(kind: LinkTrouble, message: string) {
    super(message);
    this.name = 'LinkError';
    this.kind = kind;
  }
}

const TRY_FOR_MS = 30_000;
const AGAIN_MS = 250;
const TLS_CODES = /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/;

/** `onTrouble` hears of credentials that cannot be read later on. Throws LinkError. */
export async function dial(
  options: DialOptions,
  naming: { name: string; inboxPrefix: string },
  onTrouble: (reason: string) => void,
): Promise<NatsConnection> {
  const untilMs = performance.now() + (options.tryForMs ?? TRY_FOR_MS);
  // One server of several may be away: what another one said weighs more.
  let worst: LinkError | undefined;
  for (;;) {
    try {
      return await dialOnce(options, naming, onTrouble);
    } catch (error) {
      const trouble = troubleOf(error, options);
      if (worst === undefined || trouble.kind !== 'away') {
        if (trouble.kind !== 'away' && trouble.message !== worst?.message) onTrouble(trouble.message);
        worst = trouble;
      }
      if (performance.now() >= untilMs) throw worst;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

function dialOnce(
  options: DialOptions,
  naming: { name: string; inboxPrefix: string },
  onTrouble: (reason: string) => void,
): Promise<NatsConnection> {
  const { url, credentials, tls } = options;
  const servers = url.split(',').map((one) => one.trim());
  const isTls = tls !== undefined || servers.some((one) => one.startsWith('tls://'));
  try {
    checkReadable(filesOf(credentials, tls));
  } catch (error) {
    throw new LinkError('unreadable', (error as Error).message);
  }
  return connect({
    ...naming,
    servers,
    ...(credentials !== undefined && { authenticator: authenticatorOf(credentials, onTrouble) }),
    ...(isTls && { tls: tlsOptions(tls) }),
    timeout: 5000,
    // A Secret that rotates is refused for a while: going on is right.
    ignoreAuthErrorAbort: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 100,
    reconnectJitterTLS: 200,
    pingInterval: 5000,
    maxPingOut: 2,
    noAsyncTraces: true,
  });
}

/** Files, which the client library reads for every connection. */
function tlsOptions({ ca, certificate, key }: TlsFiles = {}) {
  return {
    ...(ca !== undefined && { caFile: ca }),
    ...(certificate !== undefined && { certFile: certificate }),
    ...(key !== undefined && { keyFile: key }),
  };
}

function troubleOf(error: unknown, { url, credentials, tls }: DialOptions): LinkError {
  if (error instanceof LinkError) return error;
  const { message, code, cause } = error as Error & { code?: string; cause?: { code?: string } };
  if (error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError) {
    const files = filesOf(credentials, undefined).map(([key, file]) => `${key}: ${file}`);
    const what =
      files.length === 0 ? 'us without credentials (see nats.credentials)' : `what is in ${files.join(', ')}`;
    return new LinkError('refused', `${url} refuses ${what}: ${message}`);
  }
  const tlsCode = code ?? cause?.code ?? '';
  if (TLS_CODES.test(tlsCode) || message.includes("'tls'")) {
    const files = filesOf(undefined, tls).map(([key, file]) => `${key}: ${file}`);
    const trusted = files.length === 0 ? "the system's authorities (see nats.tls)" : files.join(', ');
    return new LinkError('refused', `no TLS with ${url}, with ${trusted}: ${message}`);
  }
  return new LinkError('away', `${url}: ${message}`);
}
