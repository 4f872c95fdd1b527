// A real Jaeger for tests: OTLP/HTTP in, traces in memory, the query API, loopback only.
// Fails: a Jaeger that does not become healthy rejects `startJaeger` with the end of what it logged.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findJaeger } from '../../deploy/local/find-jaeger.mjs';
import { jaegerSettings } from '../../deploy/local/jaeger-settings.mjs';
import { freePorts } from './cluster-ports.ts';

export interface JaegerServer {
  /** Base URL, as `telemetry.otlpEndpoint` wants it. */
  readonly otlpUrl: string;
  /** Base URL of the query API and the search page. */
  readonly queryUrl: string;
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 50;
const LOG_SHOWN = 4000;

/** A Jaeger that answers. The first one of a machine may have to be built: minutes. */
export async function startJaeger(): Promise<JaegerServer> {
  const { path } = await findJaeger({ log: () => {} });
  const [otlp, query, queryGrpc, health] = (await freePorts(4)) as [number, number, number, number];
  const directory = await mkdtemp(join(tmpdir(), 'postrider-jaeger-'));
  const file = join(directory, 'jaeger.yaml');
  await writeFile(file, jaegerSettings({ otlp, query, queryGrpc, health }, 1000));
  const child = spawn(path, ['--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  child.on('error', () => {});
  const stop = async () => {
    await ended(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await untilHealthy(child, health);
  } catch (error) {
    await stop();
    throw error;
  }
  return { otlpUrl: `http://127.0.0.1:${otlp}`, queryUrl: `http://127.0.0.1:${query}`, stop };
}

async function untilHealthy(child: ChildProcess, port: number): Promise<void> {
  let log = '';
  child.stderr?.on('data', (chunk) => {
    log = `${log}${chunk}`.slice(-LOG_SHOWN);
  });
  const untilMs = Date.now() + READY_WITHIN_MS;
  while (Date.now() < untilMs && child.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/status`).catch(() => undefined);
    await answer?.text();
    if (answer?.ok) return;
    await pause(LOOK_EVERY_MS);
  }
  throw new Error(`jaeger is not healthy:\n${log}`);
}

/** Its traces are in memory only: nothing is lost by ending it at once. */
async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill('SIGKILL');
  await gone;
}
