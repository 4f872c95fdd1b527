// Keeps grpc.health.v1 of a process true to what goes on: looks a few times a second, and says in the log when the answer
// to "ready?" changes.
import type { Logger } from 'pino';
import type { HealthServer } from '#libs/rpc/health.ts';
import { Readiness, type ReadinessFacts } from './readiness.ts';

const LOOK_EVERY_MS = 200;

export class HealthReport {
  readonly #server: HealthServer;
  readonly #logger: () => Pick<Logger, 'info' | 'warn'>;
  readonly #readiness = new Readiness();
  #facts: () => ReadinessFacts = () => ({ connected: false, hindrance: undefined });
  #timer: NodeJS.Timeout | undefined;
  #said: string | undefined = 'starting';

  constructor(server: HealthServer, logger: () => Pick<Logger, 'info' | 'warn'>) {
    this.#server = server;
    this.#logger = logger;
  }

  /** The start is through; from now on `facts` say whether the service is ready. */
  started(facts: () => ReadinessFacts): void {
    this.#facts = facts;
    this.#readiness.started();
    this.#server.set('started', 'SERVING');
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Not ready any more, for good. */
  draining(): void {
    clearInterval(this.#timer);
    this.#readiness.draining();
    this.#look();
  }

  #look(): void {
    const reason = this.#readiness.reasonAgainst(this.#facts());
    this.#server.set('ready', reason === undefined ? 'SERVING' : 'NOT_SERVING');
    if (reason === this.#said) return;
    const isNews = this.#said !== 'starting' && reason !== 'draining';
    this.#said = reason;
    if (!isNews) return;
    if (reason === undefined) this.#logger().info('ready again');
    else this.#logger().warn({ reason }, 'not ready');
  }
}
