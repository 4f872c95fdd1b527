// The chart as the check installs it: what differs from its defaults, and helm's commands.
import { fileURLToPath } from 'node:url';
import { command } from './commands.ts';
import { DOMAIN, FIRST_PORT, SINK, SITES } from './load-pods.ts';

const CHART = fileURLToPath(new URL('../../deploy/helm/postrider', import.meta.url));
const NAME = 'check';
/** The head of the names of its objects. */
export const HEAD = `${NAME}-postrider`;
export const SERVICES = ['ingress', 'queue', 'resolver', 'delivery'] as const;

export interface Image {
  registry: string;
  repository: string;
  tag: string;
}

/** Of "registry/repository:tag"; the registry is what has a dot or a port. */
export function imageOf(name: string): Image {
  const [, registry = '', repository = '', tag = ''] =
    /^(?:([^/]*[.:][^/]*)\/)?([^:]+)(?::([^:/]+))?$/.exec(name) ?? [];
  return { registry, repository, tag };
}

export interface ReleaseOptions {
  namespace: string;
  image: string;
  natsImage: string;
  storageClass: string;
  say: (line: string) => void;
}

export class Release {
  readonly #options: ReleaseOptions;
  /** Changes with every upgrade of the whole release, so that every pod is made anew. */
  #generation = 1;
  #workers = 1;

  constructor(options: ReleaseOptions) {
    this.#options = options;
  }

  /** Installs it with one delivery worker; resolves when everything is ready. */
  install(): Promise<void> {
    return this.#apply('install');
  }

  /** Resolves when there are so many delivery workers and the others have ended their work. */
  scaleDelivery(workers: number): Promise<void> {
    this.#workers = workers;
    return this.#apply('upgrade');
  }

  /** Replaces every pod of every service; resolves when the last new one is ready. */
  upgradeAll(): Promise<void> {
    this.#generation += 1;
    return this.#apply('upgrade');
  }

  /** What `helm test` printed. */
  test(): Promise<string> {
    return this.#helm(['test', NAME, '--logs', '--timeout=3m']);
  }

  async uninstall(): Promise<void> {
    await this.#helm(['uninstall', NAME, '--ignore-not-found', '--wait', '--timeout=6m']);
  }

  async #apply(verb: 'install' | 'upgrade'): Promise<void> {
    const values = JSON.stringify(this.#values());
    await this.#helm([verb, NAME, CHART, '--values=-', '--wait', '--timeout=6m'], values);
  }

  #helm(args: readonly string[], input = ''): Promise<string> {
    return command('helm', ['--namespace', this.#options.namespace, ...args], input);
  }

  #values(): object {
    const { image, natsImage, storageClass } = this.#options;
    const podAnnotations = { 'postrider.invalid/generation': `${this.#generation}` };
    const service = { podAnnotations };
    return {
      image: imageOf(image),
      nats: {
        image: imageOf(natsImage),
        embedded: { persistence: { storageClassName: storageClass } },
      },
      config: {
        hostname: `mx.${DOMAIN}`,
        routes: Array.from({ length: SITES }, (_, i) => ({
          domain: `s${i}.${DOMAIN}`,
          to: `${SINK}:${FIRST_PORT + i}`,
        })),
        retry: { schedule: ['2 s', '5 s', '10 s'] },
        delivery: { backoffMin: '1 s', backoffMax: '5 s' },
      },
      ingress: service,
      queue: service,
      resolver: service,
      delivery: { ...service, replicas: this.#workers },
    };
  }
}
