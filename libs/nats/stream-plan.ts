// What is to be done about the streams: which are made, which grow, which are refused. Pure.
//
// When one can never fit, nothing is done about any: a configuration with another layout must not leave half of it behind.
import { type Change, compare, differenceText, REMADE, type StreamConfig } from './streams.ts';

/** A stream that is there. */
export interface Found {
  config: StreamConfig;
  state: { bytes: number; messages: number };
}

export type Step = { stream: string } & (
  | { kind: 'make'; config: StreamConfig }
  /** It is removed first, with what is in it. */
  | { kind: 'remake'; config: StreamConfig; changes: Change[] }
  /** `config` is what is there with the changes in it. */
  | { kind: 'change'; config: StreamConfig; changes: Change[] }
  | { kind: 'leave' }
  /** `isUnfit`: it can never be what it must be, whatever an operator allows. */
  | { kind: 'refuse'; reason: string; isUnfit: boolean }
  /** Would be made or changed, were it not for another one. */
  | { kind: 'forgo' }
);

export interface PlanOptions {
  /** Lets max_bytes, when what is stored fits, and replicas become less. */
  allowShrink: boolean;
  /** By the wall clock. */
  nowMs: number;
}

const NUMBERS_FROM_MS = Date.UTC(2020, 0);
const NUMBERS_PER_MS = 1000;

/**
 * Where the numbers of a stream begin that is missing beside others, perhaps since somebody deleted it: others know records of the
 * one before by number (lines of packs, places of mails, epochs of owners), and none of those may ever mean another record. More
 * records than that are stored by no stream.
 */
function firstNumber(nowMs: number): { first_seq?: number } {
  const number = (nowMs - NUMBERS_FROM_MS) * NUMBERS_PER_MS;
  return number > 1 ? { first_seq: number } : {};
}

/** One step for each stream that is wanted, in order, and one for each that a smaller layout would leave behind. */
export function planOf(
  wanted: readonly StreamConfig[],
  found: ReadonlyMap<string, Found>,
  options: PlanOptions,
): Step[] {
  const steps = wanted.map((config) => {
    const step = stepOf(config, found.get(config.name), options);
    const isAnew = step.kind === 'remake' || (step.kind === 'make' && found.size > 0);
    return isAnew ? { ...step, config: { ...config, ...firstNumber(options.nowMs) } } : step;
  });
  const names = new Set(wanted.map(({ name }) => name));
  const spoolStreams = [...names].filter((name) => name.startsWith('SPOOL_')).length;
  for (const [stream, { state }] of found) {
    if (names.has(stream)) continue;
    const have = `have ${Number(stream.split('_')[1]) + 1} or more, want ${spoolStreams}`;
    const reason = `nats.spoolStreams, fixed for the life of the data: ${have}; it holds ${state.messages} records`;
    steps.push({ stream, kind: 'refuse', reason, isUnfit: true });
  }
  const isUnfit = steps.some((step) => step.kind === 'refuse' && step.isUnfit);
  return isUnfit ? steps.map(forgone) : steps;
}

function forgone(step: Step): Step {
  return step.kind === 'make' || step.kind === 'remake' || step.kind === 'change'
    ? { stream: step.stream, kind: 'forgo' }
    : step;
}

/** What is to be done about one, whatever the others need. */
export function stepOf(
  wanted: StreamConfig,
  found: Found | undefined,
  { allowShrink }: Pick<PlanOptions, 'allowShrink'>,
): Step {
  const stream = wanted.name;
  if (found === undefined) return { stream, kind: 'make', config: wanted };
  const { changes, shrinking, shorter, unfit } = compare(wanted, found.config);
  const refuse = (why: string, differences: readonly Change[]): Step => {
    const reason = `${why}: ${differences.map(differenceText).join('; ')}`;
    return { stream, kind: 'refuse', reason, isUnfit: differences === unfit };
  };
  if (unfit.length > 0 && REMADE.has(stream))
    return { stream, kind: 'remake', config: wanted, changes: unfit };
  if (unfit.length > 0) return refuse('it cannot become what is wanted', unfit);
  if (shorter.length > 0) return refuse('it would keep records for a shorter time', shorter);
  if (shrinking.length > 0 && !allowShrink) return refuse('it would shrink', shrinking);
  const tooSmall = shrinking.filter(
    ({ key, to }) => key === 'max_bytes' && found.state.bytes > (to as number),
  );
  if (tooSmall.length > 0) return refuse(`${found.state.bytes} octets are stored`, tooSmall);
  const all = [...changes, ...shrinking];
  if (all.length === 0) return { stream, kind: 'leave' };
  const changed = Object.fromEntries(all.map(({ key, to }) => [key, to]));
  return { stream, kind: 'change', config: { ...found.config, ...changed }, changes: all };
}

/** Why a stream cannot be used yet; undefined when it can. Less room or a shorter memory of ids than wanted is no reason. */
export function hindranceOf(wanted: StreamConfig, found: StreamConfig): string | undefined {
  const { changes, unfit } = compare(wanted, found);
  const missing = changes.filter(({ key }) => key !== 'max_bytes' && key !== 'duplicate_window');
  const first = unfit[0] ?? missing[0];
  return first && differenceText(first);
}
