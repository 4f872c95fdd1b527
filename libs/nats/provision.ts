// Makes the streams and lets them grow with the configuration. Any number of instances may do it at once.
//
// Fails: ProvisionError when JetStream is too old or does not answer in time; `provision` also when a stream can never fit.
// Nothing here takes room, copies or time away from a stream unless an operator allows it.
import { type ApiError, callApi } from './api.ts';
import type { Layout } from './layout.ts';
import type { Link } from './link.ts';
import { payloadHindrance } from './payload.ts';
import { type Found, planOf, type Step, stepOf } from './stream-plan.ts';
import { type Change, changeText, differenceText, streamsOf } from './streams.ts';

/** JetStream API level of nats-server 2.15. */
const API_LEVEL_MIN = 4;
const CALL_WAIT_MS = 3000;
const GIVE_UP_AFTER_MS = 60_000;
const AGAIN_MS = 500;
const STREAM_NOT_FOUND = 10059;
const NAME_IN_USE = 10058;
const NO_STORAGE = 10047;
const NOT_CLUSTERED = 10074;
/** Too few servers of the cluster are there: one that starts may still come. */
const NO_PEERS = 10005;
const OURS = /^((SPOOL|STORE)_\d+|SETTLE|QUEUE|RULES|CHECKPOINTS|QUARANTINE)$/;

/** Somebody must act: the message says what is wrong. */
export class ProvisionError extends Error {}

/** What has been, or with `dryRun` would be, done. */
export type Provisioned = { stream: string } & (
  | { kind: 'made' | 'unchanged' }
  | { kind: 'changed'; changes: Change[] }
  /** `isUnfit`: it can never be what it must be, whatever an operator allows. */
  | { kind: 'refused'; reason: string; isUnfit: boolean }
  /** Was to be made or changed, and was not because of another one. */
  | { kind: 'untouched' }
);

export interface ProvisionOptions {
  dryRun?: boolean;
  /** Lets max_bytes, when what is stored fits, and replicas become less. */
  allowShrink?: boolean;
  /** Returns only when every stream has all its copies. */
  awaitCopies?: boolean;
  /** How long all of it is tried; 60 s when absent. */
  giveUpAfterMs?: number;
  onResult?: (result: Provisioned) => void;
  /** Hears why it takes longer. */
  onWait?: (words: string) => void;
}

type Making = Extract<Step, { kind: 'make' | 'remake' | 'change' }>;

/** One try: its result, or why it must be tried again. */
type Try<T> = { kind: 'over'; result: T } | { kind: 'again'; reason: string };

const over = <T>(result: T): Try<T> => ({ kind: 'over', result });
const again = (reason: string) => ({ kind: 'again' as const, reason });
const AWAY = again('JetStream does not answer (is it enabled in nats-server?)');

/** Looks at all, decides, then acts on one after the other. */
export async function provisionAll(
  link: Link,
  layout: Layout,
  options: ProvisionOptions = {},
): Promise<Provisioned[]> {
  const untilMs = performance.now() + (options.giveUpAfterMs ?? GIVE_UP_AFTER_MS);
  const { onResult = () => {}, onWait = () => {}, allowShrink = false } = options;
  checkLevel(link);
  const retried = <T>(attempt: () => Promise<Try<T>>) => untilOver(attempt, { untilMs, onWait });
  const found = await retried(() => inspectAll(link));
  if (found.kind === 'again') throw new ProvisionError(found.reason);
  const results: Provisioned[] = [];
  for (const step of planOf(streamsOf(layout), found.result, { allowShrink, nowMs: Date.now() })) {
    const done = await retried(() => perform(link, step, options));
    const { stream } = step;
    const result: Provisioned =
      done.kind === 'over' ? done.result : { stream, kind: 'refused', reason: done.reason, isUnfit: true };
    results.push(result);
    onResult(result);
  }
  return results;
}

/** Resolves when all streams are there; `say` hears of those that grew, and of those that stay as they are. */
export async function provision(
  link: Link,
  layout: Layout,
  say: (words: string) => void = () => {},
): Promise<void> {
  for (const result of await provisionAll(link, layout)) {
    const { stream } = result;
    if (result.kind === 'changed') say(`stream ${stream}: ${result.changes.map(changeText).join(', ')}`);
    if (result.kind !== 'refused') continue;
    if (result.isUnfit) throw new ProvisionError(`stream ${stream}: ${result.reason}`);
    say(`stream ${stream} stays as it is: ${result.reason}`);
  }
}

/** Throws ProvisionError when the server cannot do what we need. */
export function checkLevel({ apiLevel, payloadMax }: Pick<Link, 'apiLevel' | 'payloadMax'>): void {
  const hindrance = payloadHindrance(payloadMax);
  if (hindrance !== undefined) throw new ProvisionError(hindrance);
  if (apiLevel >= API_LEVEL_MIN) return;
  const have = apiLevel === 0 ? 'none' : `level ${apiLevel}`;
  throw new ProvisionError(
    `nats-server is too old or has no JetStream: have ${have} of its API, want level ${API_LEVEL_MIN} (2.15)`,
  );
}

async function untilOver<T>(
  attempt: () => Promise<Try<T>>,
  { untilMs, onWait }: { untilMs: number; onWait: (words: string) => void },
): Promise<Try<T>> {
  let said = '';
  for (;;) {
    const one = await attempt();
    if (one.kind === 'over' || performance.now() >= untilMs) return one;
    if (one.reason !== said) onWait(one.reason);
    said = one.reason;
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

interface StreamInfo extends Found {
  cluster?: { leader?: string; replicas?: { current?: boolean }[] };
}

/** What `$JS.API.STREAM.INFO` says. */
export const inspect = (link: Link, name: string) =>
  callApi<StreamInfo>(link, `STREAM.INFO.${name}`, undefined, CALL_WAIT_MS);

/** All streams that bear our names. */
async function inspectAll(link: Link): Promise<Try<Map<string, Found>>> {
  const names: string[] = [];
  for (let total = 1, offset = 0; offset < total; ) {
    const page = await callApi<{ streams: string[] | null; total: number }>(
      link,
      'STREAM.NAMES',
      { offset },
      CALL_WAIT_MS,
    );
    if (page.kind === 'unavailable') return AWAY;
    if (page.kind === 'error') return again(wordsOf(page.error));
    const { streams } = page.value;
    total = streams === null ? 0 : page.value.total;
    offset += streams?.length ?? 0;
    names.push(...(streams ?? []));
  }
  const found = new Map<string, Found>();
  for (const name of names.filter((one) => OURS.test(one)).sort()) {
    const info = await inspect(link, name);
    if (info.kind === 'unavailable') return AWAY;
    if (info.kind === 'ok') found.set(name, info.value);
    else if (!isMissing(info.error)) return again(`stream ${name}: ${wordsOf(info.error)}`);
  }
  return over(found);
}

async function perform(link: Link, step: Step, options: ProvisionOptions): Promise<Try<Provisioned>> {
  const { stream } = step;
  switch (step.kind) {
    case 'leave':
      return whole(link, { stream, kind: 'unchanged' }, options);
    case 'forgo':
      return over({ stream, kind: 'untouched' });
    case 'refuse':
      return over({ stream, kind: 'refused', reason: step.reason, isUnfit: step.isUnfit });
    case 'make':
    case 'remake':
    case 'change':
      return make(link, step, options);
  }
}

async function make(link: Link, step: Making, options: ProvisionOptions): Promise<Try<Provisioned>> {
  const { stream } = step;
  const done: Provisioned =
    step.kind === 'make' ? { stream, kind: 'made' } : { stream, kind: 'changed', changes: step.changes };
  if (options.dryRun) return over(done);
  if (step.kind === 'remake') {
    const gone = await callApi(link, `STREAM.DELETE.${stream}`, undefined, CALL_WAIT_MS);
    if (gone.kind === 'unavailable') return AWAY;
    if (gone.kind === 'error' && !isMissing(gone.error)) return judge(step, gone.error);
  }
  const call = step.kind === 'change' ? 'UPDATE' : 'CREATE';
  // Both may be said again when they are done already.
  const answer = await callApi(link, `STREAM.${call}.${stream}`, step.config, CALL_WAIT_MS);
  if (answer.kind === 'unavailable') return AWAY;
  if (answer.kind === 'ok') return whole(link, done, options);
  return answer.error.err_code === NAME_IN_USE
    ? meanwhileMade(link, step, options)
    : judge(step, answer.error);
}

/** Somebody else made it with other settings. */
async function meanwhileMade(
  link: Link,
  { stream, config }: Making,
  options: ProvisionOptions,
): Promise<Try<Provisioned>> {
  const info = await inspect(link, stream);
  if (info.kind !== 'ok') return AWAY;
  const { allowShrink = false } = options;
  // Where its numbers begin is not compared.
  return perform(link, stepOf(config, info.value, { allowShrink }), options);
}

/** With `awaitCopies`, over only when every copy is there. */
async function whole(link: Link, result: Provisioned, options: ProvisionOptions): Promise<Try<Provisioned>> {
  if (!options.awaitCopies || options.dryRun) return over(result);
  const info = await inspect(link, result.stream);
  if (info.kind !== 'ok') return AWAY;
  const { config, cluster } = info.value;
  const want = (config.num_replicas as number | undefined) ?? 1;
  const current = (cluster?.replicas ?? []).filter((one) => one.current).length;
  const have = current + (cluster === undefined || (cluster.leader ?? '') !== '' ? 1 : 0);
  if (have >= want) return over(result);
  return again(`stream ${result.stream}: copies that are up to date: have ${have}, want ${want}`);
}

const isMissing = ({ err_code: number }: ApiError) => number === STREAM_NOT_FOUND;

/** What JetStream says about it. */
export const wordsOf = ({ description, code }: ApiError) => description ?? `error ${code}`;

/** What an error means: an end, or that a later try may go better. */
function judge(step: Making, error: ApiError): Try<Provisioned> {
  const { stream, config } = step;
  const differences = step.kind !== 'make' ? `${step.changes.map(differenceText).join('; ')}: ` : '';
  const refuse = (reason: string) =>
    over({ stream, kind: 'refused' as const, reason: `${differences}${reason}`, isUnfit: true });
  const number = error.err_code;
  if (number === NO_STORAGE) {
    const want = `want ${config.max_bytes} octets (nats.spoolSizeMax)`;
    return refuse(`${want}, more than the server's JetStream storage (max_file_store) has left`);
  }
  if (number === NOT_CLUSTERED) {
    return refuse(`want ${config.num_replicas} copies (nats.replicas), have one server: ${wordsOf(error)}`);
  }
  if (number === NO_PEERS || error.code >= 500) {
    return again(`stream ${stream}: ${differences}${wordsOf(error)}`);
  }
  return refuse(`JetStream refuses: ${wordsOf(error)}`);
}
