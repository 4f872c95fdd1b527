// The check of the chart in a real cluster, step by step, under load; what every mail went through is compared at the end.
// Fails: the first step that does not come true ends it, with its reason.
import { inDoubtIn } from '#kit/in-doubt.ts';
import { type Ledger, ledgerOf } from '#kit/load-ledger.ts';
import { senderHalf } from '#kit/pod-programs.ts';
import { waitUntil } from '#kit/wait-until.ts';
import { CommandFailed, Kubectl } from './commands.ts';
import { evict, isReady, podsOf } from './evictions.ts';
import { ask, DOMAIN, SENDER, SINK, startSender, startSink } from './load-pods.ts';
import { HEAD, Release, SERVICES } from './release.ts';

export interface CheckOptions {
  namespace: string;
  image: string;
  natsImage: string;
  storageClass: string;
  perSecond: number;
  say: (line: string) => void;
}

export interface CheckResult {
  ledger: Ledger;
  /** From the moment at which a mail was due to be sent to its arrival, by the step in which it arrived. */
  delays: { step: string; mails: number; medianMs: number; longestMs: number }[];
}

const LOOK_AGAIN_MS = 1000;
const READY_WITHIN_MS = 180_000;
const SETTLED_WITHIN_MS = 120_000;
const WATCHED_MS = 10_000;
/** Pod Security "restricted", enforced. */
const LABELS = { 'pod-security.kubernetes.io/enforce': 'restricted' };

export class CheckRun {
  readonly #options: CheckOptions;
  readonly #kubectl: Kubectl;
  readonly #release: Release;
  readonly #delays: CheckResult['delays'] = [];

  constructor(options: CheckOptions) {
    this.#options = options;
    this.#kubectl = new Kubectl(options.namespace);
    this.#release = new Release(options);
  }

  async run(): Promise<CheckResult> {
    await this.#install();
    await this.#step('policies let nobody in who has no business', () => this.#policies());
    await this.#step("the operator's commands in a pod", () => this.#commands());
    await this.#underLoad('nothing happens', () => this.#watched());
    await this.#underLoad('delivery 1 -> 4', () => this.#release.scaleDelivery(4));
    await this.#underLoad('delivery 4 -> 2', () => this.#release.scaleDelivery(2));
    await this.#underLoad('helm upgrade replaces every pod', () => this.#release.upgradeAll());
    for (const service of SERVICES) {
      await this.#underLoad(`${service} is evicted, pod by pod`, () => this.#evictAll(service));
    }
    await this.#underLoad('NATS restarts, server by server', () => this.#restartNats());
    await this.#underLoad('a delivery worker is killed', () => this.#killWorker());
    return this.#settle();
  }

  /** Deletes all of it. */
  async remove(): Promise<void> {
    await this.#step('uninstall', () => this.#release.uninstall());
    await this.#step('the namespace goes', async () => {
      await this.#kubectl.run('delete', 'namespace', this.#options.namespace, '--timeout=180s');
    });
  }

  async #install(): Promise<void> {
    const { namespace, image, perSecond } = this.#options;
    await this.#kubectl.apply([
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: LABELS } },
    ]);
    await this.#step('mail system', () => startSink(this.#kubectl, image));
    await this.#step('helm install --wait', () => this.#release.install());
    await this.#step('helm test', async () => this.#quote(await this.#release.test()));
    const to = { host: `${HEAD}-ingress`, port: 587, perSecond };
    await this.#step(`sender, ${perSecond} mails/s`, () => startSender(this.#kubectl, image, to));
  }

  async #step(name: string, work: () => Promise<void>): Promise<void> {
    this.#options.say(`-> ${name}`);
    const startedAt = performance.now();
    await work();
    this.#options.say(`   done in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  }

  #quote(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.#options.say(`   | ${line}`);
  }

  async #underLoad(step: string, work: () => Promise<void>): Promise<void> {
    await ask(this.#kubectl, SINK, 'delays');
    await this.#step(step, work);
    const before = await ask(this.#kubectl, SINK, 'taken');
    const flows = async () => (await ask(this.#kubectl, SINK, 'taken')) > before + this.#options.perSecond;
    await this.#eventually(flows, READY_WITHIN_MS, 'mail flows again');
    const { state } = await ask(this.#kubectl, SENDER, 'state');
    if (state !== 'sending') throw new CommandFailed(`the sender does not send: ${state}`);
    const sorted = (await ask(this.#kubectl, SINK, 'delays')).sort((a, b) => a - b);
    const [medianMs = 0, longestMs = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
    this.#delays.push({ step, mails: sorted.length, medianMs, longestMs });
    this.#options.say(`   ${sorted.length} mails arrived, the latest after ${longestMs} ms`);
  }

  #eventually(isTrue: () => Promise<boolean>, withinMs: number, what: string): Promise<void> {
    return waitUntil(isTrue, withinMs, what, LOOK_AGAIN_MS);
  }

  async #watched(): Promise<void> {
    const untilMs = Date.now() + WATCHED_MS;
    await this.#eventually(async () => Date.now() > untilMs, 2 * WATCHED_MS, 'time passes');
  }

  /** From the sender's pod: SMTP may be reached, and nothing else of the release. */
  async #policies(): Promise<void> {
    const [queue] = await podsOf(this.#kubectl, 'queue');
    const [nats] = await podsOf(this.#kubectl, 'nats');
    if (queue === undefined || nats === undefined) throw new CommandFailed('no pod of queue or of nats');
    const may = await this.#reaches(SENDER, `${HEAD}-ingress`, 587);
    if (!may) throw new CommandFailed('the sender cannot reach ingress');
    const targets = [
      { from: SENDER, to: nats, port: 4222 },
      { from: SENDER, to: queue, port: 8086 },
      { from: SENDER, to: queue, port: 9464 },
      { from: queue.metadata.name, to: nats, port: 6222 },
      { from: queue.metadata.name, to: nats, port: 8222 },
    ];
    for (const { from, to, port } of targets) {
      if (await this.#reaches(from, to.status.podIP ?? '', port)) {
        throw new CommandFailed(
          `${from} reaches ${to.metadata.name}:${port}: are NetworkPolicies enforced here?`,
        );
      }
    }
  }

  async #commands(): Promise<void> {
    await this.#isQueueEmpty();
    await this.#postrider('trace', 'force', DOMAIN, '--for', '1min', '--reason', 'check');
    const forced = await this.#postrider('trace', 'ls');
    if (!forced.includes(DOMAIN)) throw new CommandFailed(`trace ls does not list ${DOMAIN}:\n${forced}`);
    await this.#postrider('trace', 'stop', DOMAIN);
  }

  /** The command line in a pod of queue. */
  #postrider(...args: string[]): Promise<string> {
    return this.#kubectl.run('exec', `deployment/${HEAD}-queue`, '--', 'postrider', ...args);
  }

  async #reaches(from: string, host: string, port: number): Promise<boolean> {
    const program = [
      `const socket = (await import('node:net')).connect({ host: '${host}', port: ${port}, timeout: 2000 });`,
      `const end = (words) => { process.stdout.write(words); process.exit(0); };`,
      `socket.once('connect', () => end('yes')).once('error', () => end('no')).once('timeout', () => end('no'));`,
    ].join('\n');
    const asked = ['exec', from, '--', 'node', '--input-type=module', '--eval', program];
    return (await this.#kubectl.run(...asked)) === 'yes';
  }

  /** As `kubectl drain` would: while one pod is on its way, the budget must refuse the next one. */
  async #evictAll(service: string): Promise<void> {
    const pods = await podsOf(this.#kubectl, service);
    for (const [i, pod] of pods.entries()) {
      const { name } = pod.metadata;
      const allowed = () => evict(this.#kubectl, name);
      await this.#eventually(allowed, READY_WITHIN_MS, `${name} may be evicted`);
      const next = pods[i + 1];
      if (next !== undefined && (await evict(this.#kubectl, next.metadata.name))) {
        throw new CommandFailed(`two pods of ${service} were evicted at the same time`);
      }
      const replaced = async () => {
        const living = await podsOf(this.#kubectl, service);
        return living.length === pods.length && living.every(isReady);
      };
      await this.#eventually(replaced, READY_WITHIN_MS, `${service} has ${pods.length} ready pods again`);
    }
  }

  async #restartNats(): Promise<void> {
    await this.#kubectl.run('rollout', 'restart', `statefulset/${HEAD}-nats`);
    await this.#kubectl.run('rollout', 'status', `statefulset/${HEAD}-nats`, '--timeout=360s');
  }

  async #killWorker(): Promise<void> {
    const [worker] = await podsOf(this.#kubectl, 'delivery');
    const name = worker?.metadata.name ?? '';
    await this.#kubectl.run('delete', 'pod', name, '--force', '--grace-period=0');
    await this.#kubectl.run('rollout', 'status', `deployment/${HEAD}-delivery`, '--timeout=180s');
  }

  async #settle(): Promise<CheckResult> {
    const kubectl = this.#kubectl;
    await this.#step('everything settles', async () => {
      await ask(kubectl, SENDER, 'stop');
      const stopped = async () => (await ask(kubectl, SENDER, 'state')).state === 'stopped';
      await this.#eventually(stopped, SETTLED_WITHIN_MS, 'the sender has stopped');
      // What is not settled in time is in the ledger as lost.
      await this.#eventually(() => this.#isQueueEmpty(), SETTLED_WITHIN_MS, 'empty').catch(() => undefined);
    });
    const half = senderHalf(await ask(kubectl, SENDER, 'ledger'));
    const arrivals = await ask(kubectl, SINK, 'arrivals');
    const sent = arrivals.filter(({ token }) => token !== '');
    return { ledger: ledgerOf(half, sent, await this.#inDoubt()), delays: this.#delays };
  }

  async #isQueueEmpty(): Promise<boolean> {
    const said = await this.#postrider('queue', 'ls', '--json');
    return (JSON.parse(said) as { mails: unknown[] }).mails.length === 0;
  }

  /** Attempts by queue id that the living pods of queue logged as in doubt: none of them was replaced since a worker was killed. */
  async #inDoubt(): Promise<Map<string, number>> {
    const selector = '--selector=app.kubernetes.io/component=queue';
    const logs = await this.#kubectl.run('logs', selector, '--tail=-1', '--max-log-requests=20');
    return inDoubtIn([logs]);
  }
}
