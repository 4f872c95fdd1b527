// A real Prometheus for tests: scrapes processes of a test cluster every second and works out the rules that are shipped,
// unchanged, as often. Its data is in a temporary folder; loopback only.
// Fails: a Prometheus that does not get ready rejects `startPrometheus` with the end of what it logged; a query that it
// refuses rejects with its words.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { stringify } from 'yaml';
import { freePort } from '#kit/cluster-ports.ts';
import { findPrograms } from './programs.ts';

export interface Sample {
  metric: Record<string, string>;
  value: number;
}

export interface AlertState {
  name: string;
  state: 'inactive' | 'pending' | 'firing';
  /** Of its instances, those that are not inactive. */
  labels: Record<string, string>[];
}

export interface PrometheusOptions {
  /** Addresses "host:port" by job. */
  jobs: Record<string, string[]>;
  ruleFiles: string[];
}

interface RuleAnswer {
  groups: { rules: RuleStatus[] }[];
}

interface RuleStatus {
  name: string;
  type: 'alerting' | 'recording';
  state?: AlertState['state'];
  health: string;
  lastError?: string;
  alerts?: { labels: Record<string, string> }[];
}

const READY_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 50;
const LOG_SHOWN = 4000;

export class PrometheusServer {
  readonly #url: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  constructor(url: string, child: ChildProcess, folder: string) {
    this.#url = url;
    this.#child = child;
    this.#folder = folder;
  }

  /** Waits until it answers. */
  async ready(): Promise<void> {
    const untilMs = Date.now() + READY_WITHIN_MS;
    while (Date.now() < untilMs && this.#child.exitCode === null) {
      const answer = await fetch(`${this.#url}/-/ready`).catch(() => undefined);
      await answer?.text();
      if (answer?.ok) return;
      await pause(LOOK_EVERY_MS);
    }
    const log = await readFile(join(this.#folder, 'log'), 'utf8');
    throw new Error(`prometheus is not ready:\n${log.slice(-LOG_SHOWN)}`);
  }

  /** What an expression gives now; throws with Prometheus' words when it is not one. */
  async query(expr: string): Promise<Sample[]> {
    const data = await this.#ask(`query?query=${encodeURIComponent(expr)}`);
    const { result } = data as { result: { metric: Record<string, string>; value: [number, string] }[] };
    return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  async #rules(): Promise<RuleStatus[]> {
    const data = (await this.#ask('rules')) as RuleAnswer;
    return data.groups.flatMap(({ rules }) => rules);
  }

  async alerts(): Promise<AlertState[]> {
    const rules = (await this.#rules()).filter(({ type }) => type === 'alerting');
    return rules.map(({ name, state = 'inactive', alerts = [] }) => ({
      name,
      state,
      labels: alerts.map(({ labels }) => labels),
    }));
  }

  /** Rules that it could not work out, with the reason. */
  async ruleTroubles(): Promise<string[]> {
    const bad = (await this.#rules()).filter(({ health }) => health !== 'ok');
    return bad.map(({ name, health, lastError = '' }) => `${name}: ${health} ${lastError}`);
  }

  async #ask(path: string): Promise<unknown> {
    const answer = await fetch(`${this.#url}/api/v1/${path}`);
    const { status, data, error } = (await answer.json()) as {
      status: string;
      data: unknown;
      error?: string;
    };
    if (status !== 'success') throw new Error(error);
    return data;
  }

  /** Ends it and removes its data. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = new Promise((done) => this.#child.once('exit', done));
      this.#child.kill('SIGKILL');
      await gone;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

export async function startPrometheus({ jobs, ruleFiles }: PrometheusOptions): Promise<PrometheusServer> {
  const { prometheus } = await findPrograms();
  const folder = await mkdtemp(join(tmpdir(), 'postrider-prometheus-'));
  const scrapes = Object.entries(jobs).map(([job_name, targets]) => ({
    job_name,
    static_configs: [{ targets }],
  }));
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: ruleFiles,
    scrape_configs: scrapes,
  };
  await writeFile(join(folder, 'prometheus.yml'), stringify(config));
  const port = await freePort();
  const log = openSync(join(folder, 'log'), 'w');
  const child = spawn(
    prometheus,
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', log, log] },
  );
  closeSync(log);
  child.on('error', () => {});
  const server = new PrometheusServer(`http://127.0.0.1:${port}`, child, folder);
  try {
    await server.ready();
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}
