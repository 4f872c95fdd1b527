// `postrider smoke`: sends one mail through the cluster to a sink of its own and follows it to its arrival, a line per step
// with its duration. What `helm test` runs, so it needs nothing but this file's neighbours.
//
//   sink -> health of every service named -> connect, EHLO, STARTTLS -> hand over -> arrival, octet for octet -> settled
//
// Fails: the first step that does not come through ends it; SmokeFailure has the reason in one line. Health and the
// connection are tried again for a while: addresses of a new Service take a moment to work everywhere.
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { QueueAdminError } from '#libs/rpc/admin-call.ts';
import { connectQueueAdmin } from '#libs/rpc/queue-admin-client.ts';
import { countText } from './quantities.ts';
import { SmokeClient, SmokeFailure } from './smoke-client.ts';
import { instancesServing } from './smoke-health.ts';
import { difference, smokeMail } from './smoke-mail.ts';
import { SmokeSink } from './smoke-sink.ts';

export interface HostPort {
  host: string;
  port: number;
}

export interface SmokeOptions {
  smtp: HostPort;
  /** The cluster routes it to our sink. */
  domain: string;
  listen: HostPort;
  /** Services to ask; every instance of each. */
  health: readonly HostPort[];
  /** "host:port" of a queue, which is asked whether the mail is settled. */
  admin: string | undefined;
  /** For everything together. */
  timeoutMs: number;
}

const TRY_AGAIN_MS = 500;
/** How long an instance that is not ready, or a refused connection, is forgiven. */
const PATIENCE_MS = 20_000;
const SETTLED_WITHIN_MS = 10_000;

/** Resolves when the mail has arrived as it was sent; rejects with SmokeFailure. */
export async function smoke(options: SmokeOptions, out: (text: string) => void): Promise<void> {
  const run = new SmokeRun(options, out);
  try {
    await run.all();
  } finally {
    await run.close();
  }
}

class SmokeRun {
  readonly #options: SmokeOptions;
  readonly #out: (text: string) => void;
  readonly #startedAt = performance.now();
  #sink: SmokeSink | undefined;
  #client: SmokeClient | undefined;

  constructor(options: SmokeOptions, out: (text: string) => void) {
    this.#options = options;
    this.#out = out;
  }

  async all(): Promise<void> {
    const { domain, smtp, listen, health, admin } = this.#options;
    const mail = smokeMail(domain, randomUUID().slice(0, 13), Date.now());
    const sink = await this.#step('sink', async () => {
      this.#sink = await SmokeSink.listen(listen.host, listen.port, domain);
      return [this.#sink, `listens on ${listen.host}:${this.#sink.port}`];
    });
    for (const { host, port } of health) {
      await this.#step(`health of ${host}:${port}`, async () => {
        const instances = await this.#patiently(() => instancesServing(host, port));
        return [instances, `${countText(instances, 'instance')}, serving`];
      });
    }
    const client = await this.#step(`SMTP at ${smtp.host}:${smtp.port}`, async () => {
      this.#client = await this.#patiently(() => SmokeClient.connect(smtp.host, smtp.port, this.#leftMs()));
      const { banner, tls } = await this.#client.greet();
      return [this.#client, `"${banner}", ${tls === '' ? 'no STARTTLS' : tls}`];
    });
    const queueId = await this.#step(`mail to ${mail.forwardPath}`, async () => {
      const id = await client.send(mail);
      return [id, `accepted, queued as ${id}`];
    });
    await this.#step('arrival', async () => {
      const arrived = await sink.arrival(mail.forwardPath, this.#leftMs());
      if (arrived === undefined) throw this.#late(`the mail ${queueId} was accepted and has not arrived`);
      const trouble = difference(mail.data, arrived.data);
      if (trouble !== undefined) throw new SmokeFailure(trouble);
      return [arrived, `${countText(mail.data.length, 'octet')} as they were sent, from ${arrived.from}`];
    });
    if (admin !== undefined) await this.#settled(admin, queueId);
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    this.#out(`Mail goes through, ${seconds} s in all.\n`);
  }

  async close(): Promise<void> {
    this.#client?.close();
    await this.#sink?.close();
  }

  /** Runs a step, within what is left of the time, and prints its line. */
  async #step<T>(what: string, act: () => Promise<readonly [T, string]>): Promise<T> {
    const startedAt = performance.now();
    const passed = () => `${Math.round(performance.now() - startedAt)} ms`;
    const late = new AbortController();
    const tooLate = pause(this.#leftMs() + TRY_AGAIN_MS, undefined, { signal: late.signal }).then(() => {
      throw this.#late('no end of it');
    });
    try {
      const [value, found] = await Promise.race([act(), tooLate]);
      this.#out(`ok    ${what}: ${found} (${passed()})\n`);
      return value;
    } catch (error) {
      if (!(error instanceof SmokeFailure)) throw error;
      this.#out(`FAIL  ${what}: ${error.message} (${passed()})\n`);
      throw new SmokeFailure(`${what}: ${error.message}`);
    } finally {
      late.abort();
      tooLate.catch(() => undefined);
    }
  }

  async #settled(admin: string, queueId: string): Promise<void> {
    await this.#step('queue', async () => {
      const queue = connectQueueAdmin(admin);
      try {
        await this.#patiently(async () => {
          const { mails } = await queue.list({ domain: this.#options.domain, limit: 1000 });
          if (!mails.some((mail) => mail.queueId === queueId)) return;
          throw new SmokeFailure(`the mail ${queueId} has arrived and is still in the queue`);
        }, SETTLED_WITHIN_MS);
      } catch (error) {
        throw error instanceof QueueAdminError ? new SmokeFailure(error.message) : error;
      } finally {
        queue.close();
      }
      return [undefined, 'knows the mail no more: it is settled'];
    });
  }

  /** Tries again after a SmokeFailure for as long as patience and the time last. */
  async #patiently<T>(act: () => Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
    const untilMs = performance.now() + Math.min(patienceMs, this.#leftMs());
    for (;;) {
      try {
        return await act();
      } catch (error) {
        if (!(error instanceof SmokeFailure) || performance.now() + TRY_AGAIN_MS > untilMs) throw error;
        await pause(TRY_AGAIN_MS);
      }
    }
  }

  #leftMs(): number {
    return Math.max(0, this.#options.timeoutMs - (performance.now() - this.#startedAt));
  }

  #late(what: string): SmokeFailure {
    return new SmokeFailure(`${what} within ${this.#options.timeoutMs / 1000} s`);
  }
}
