// The ingress service on a bench: a real nats-server, real listeners and sockets, and a resolver that is a few lines here.
// What it stored is read back from the streams.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configSchema } from '#libs/config/schema.ts';
import { DirectGet } from '#libs/nats/direct-get.ts';
import { type Layout, subjects } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { provision } from '#libs/nats/provision.ts';
import { readAll, type StoredRecord } from '#libs/nats/reading.ts';
import { decodeFrame, decodeIndex } from '#libs/pack/pack.ts';
import { startTelemetry, type Telemetry } from '#libs/telemetry/telemetry.ts';
import type { Envelope, PackEntry } from '#proto/postrider/v1/mail.ts';
import { RecipientAnswer, RecipientRequest, RecipientVerdict } from '#proto/postrider/v1/route.ts';
import { Ingress, type IngressOptions } from '../../services/ingress/ingress.actor.ts';
import type { ListenerReady } from '../../services/ingress/listener.actor.ts';
import { testCertificate, testKey } from './certificate.ts';
import type { ConfigInput } from './cluster.ts';
import { type NatsOptions, type NatsServer, startNats } from './nats-server.ts';
import { waitUntil } from './wait-until.ts';

/** A mail as it is in the streams. */
export interface SpooledMail {
  entry: PackEntry;
  envelope: Envelope;
  prepended: string;
  /** Whole, out of its frame or its chunks. */
  data: Buffer;
  /** The record that its frame is in. */
  pack: StoredRecord;
}

const UNTIL_MS = 10_000;

/** Resolves when the condition holds; rejects after ten seconds. */
export function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  return waitUntil(condition, UNTIL_MS);
}

export class IngressRig {
  readonly nats: NatsServer;
  readonly link: Link;
  readonly layout: Layout;
  readonly folder: string;
  /** Forward-paths that the resolver was asked for. */
  readonly asked: string[] = [];
  /** The resolver: silent does not answer. */
  resolver: 'answers' | 'silent' = 'answers';
  readonly #running: { ingress: Ingress; telemetry: Telemetry; link: Link }[] = [];

  private constructor(nats: NatsServer, link: Link, layout: Layout) {
    this.nats = nats;
    this.link = link;
    this.layout = layout;
    this.folder = mkdtempSync(join(tmpdir(), 'postrider-ingress-'));
    writeFileSync(this.file('certificate.pem'), testCertificate);
    writeFileSync(this.file('key.pem'), testKey);
  }

  static async start(
    options: NatsOptions & { spoolSizeMax?: number; spoolStreams?: number } = {},
  ): Promise<IngressRig> {
    const nats = await startNats(options);
    const link = await connectLink({ url: nats.url, service: 'test' });
    const { spoolSizeMax = 1_000_000_000, spoolStreams = 1 } = options;
    const layout = { partitions: 8, spoolStreams, replicas: 1, spoolSizeMax };
    await provision(link, layout);
    return new IngressRig(nats, link, layout);
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** Serves resolve.recipient: local.example has only u..., "away..." is deferred, everything else is not ours. */
  resolve(): void {
    this.link.subscribe(subjects.resolveRecipient, ({ data, reply }) => {
      const { forwardPaths } = RecipientRequest.decode(data);
      this.asked.push(...forwardPaths);
      if (this.resolver === 'silent') return;
      const results = forwardPaths.map((path) => {
        const isLocal = path.toLowerCase().endsWith('@local.example');
        return { verdict: verdictOf(path, isLocal), wholeDomain: !isLocal, ttlMs: 60_000 };
      });
      this.link.publish(reply, RecipientAnswer.encode({ results }).finish());
    });
  }

  /** An ingress with a listener at a free port of loopback, or with those of `config`; where it listens. */
  async ingress(config: ConfigInput = {}, options: IngressOptions = {}): Promise<ListenerReady[]> {
    const { partitions, spoolStreams } = this.layout;
    const full = configSchema.parse({
      hostname: 'mx.test',
      listeners: [{ address: '127.0.0.1', port: 0, role: 'relay', tls: 'starttls' }],
      tls: { certificate: this.file('certificate.pem'), key: this.file('key.pem') },
      localDomains: [{ name: 'local.example', gateway: { maildir: this.folder } }],
      nats: { url: this.nats.url, partitions, spoolStreams },
      telemetry: { logLevel: 'silent' },
      ...config,
    });
    const link = await connectLink({ url: this.nats.url, service: 'ingress' });
    const telemetry = await startTelemetry(full, { name: 'ingress', instance: link.instance });
    const ingress = new Ingress({ config: full, telemetry, link }, this.layout, options);
    this.#running.push({ ingress, telemetry, link });
    return ingress.start();
  }

  /**
   * What the ingress that was started last shows on its Prometheus endpoint: the sum of a metric's samples, of those with
   * `label` (such as `reason="timeout"`) when it is given.
   */
  async metric(name: string, label = ''): Promise<number> {
    const { telemetry } = this.#running.at(-1)!;
    const text = await (await fetch(`http://127.0.0.1:${telemetry.metricsPort}/metrics`)).text();
    const samples = text
      .split('\n')
      .filter((line) => new RegExp(`^${name}[ {]`).test(line) && line.includes(label));
    return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** Stops the ingress that was started last. */
  async stopIngress(): Promise<void> {
    const { ingress, telemetry, link } = this.#running.pop()!;
    await ingress.stop();
    await telemetry.stop();
    await link.close();
  }

  /** All records of SPOOL or STORE. */
  async records(stream: 'SPOOL_0' | 'STORE_0'): Promise<StoredRecord[]> {
    const found: StoredRecord[] = [];
    const subject = stream === 'SPOOL_0' ? 'spool.*' : 'store.*';
    await readAll(this.link, { stream, subject, headersOnly: false }, (record) => found.push(record));
    return found;
  }

  /** All mails in SPOOL, in order. */
  async mails(): Promise<SpooledMail[]> {
    const direct = new DirectGet(this.link);
    const mails: SpooledMail[] = [];
    for (const pack of await this.records('SPOOL_0')) {
      for (const entry of decodeIndex(pack.header('Postrider-Index')!).entries) {
        const { envelope, prepended, data } = decodeFrame(pack.data, entry.offset, entry.length);
        const pieces = [data];
        for (const { stream, sequence, length } of envelope.chunks) {
          const got = await direct.bySequence(stream, sequence);
          if (got.kind !== 'found' || got.record.data.length !== length)
            throw new Error('a chunk is missing');
          pieces.push(got.record.data);
        }
        const text = Buffer.from(prepended).toString('latin1');
        mails.push({ entry, envelope, prepended: text, data: Buffer.concat(pieces), pack });
      }
    }
    return mails;
  }

  async stop(): Promise<void> {
    while (this.#running.length > 0) await this.stopIngress();
    await this.link.close();
    await this.nats.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function verdictOf(path: string, isLocal: boolean): RecipientVerdict {
  if (path.startsWith('away')) return RecipientVerdict.DEFERRED;
  if (!isLocal) return RecipientVerdict.RELAY;
  return path.startsWith('u') ? RecipientVerdict.LOCAL : RecipientVerdict.UNKNOWN;
}
