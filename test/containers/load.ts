// Load while something happens to the cluster: a sender, and at the end the ledger of every mail and the delays that the
// mail system saw.
import { type Ledger, ledgerOf, ledgerText } from '#kit/load-ledger.ts';
import { arrivalsOf, senderHalf } from '#kit/pod-programs.ts';
import { eventually } from './eventually.ts';
import type { Fleet } from './fleet.ts';
import { SINK } from './settings.ts';

const PER_SECOND = 50;
/** Before anything happens. */
const STEADY_MAILS = 150;
const FLOWS_MS_MAX = 60_000;
const SETTLED_MS_MAX = 90_000;

/** From the moments at which mails were due to be sent to their arrival, in milliseconds. */
export interface Delays {
  median: number;
  longest: number;
}

export interface Outcome {
  ledger: Ledger;
  /** By step. */
  delaysMs: Record<string, Delays>;
}

/** What happens, in steps; each by its name. */
export type Steps = Record<string, () => Promise<void>>;

/** Takes the steps under load, with a while of steady sending before each; `name` begins the tokens of the mails. */
export async function underLoad(fleet: Fleet, name: string, steps: Steps): Promise<Outcome> {
  await fleet.ask(SINK.name, 'delays');
  await fleet.startSender(name, PER_SECOND);
  const delaysMs: Record<string, Delays> = {};
  await flows(fleet, STEADY_MAILS);
  delaysMs.before = await delays(fleet);
  for (const [step, take] of Object.entries(steps)) {
    await take();
    await flows(fleet, STEADY_MAILS);
    delaysMs[step] = await delays(fleet);
  }
  await fleet.ask(name, 'stop');
  await eventually(
    async () => {
      const { state } = await fleet.ask(name, 'state');
      if (state !== 'sending' && state !== 'stopped') throw new Error(`the sender: ${state}`);
      return state === 'stopped';
    },
    SETTLED_MS_MAX,
    'the sender has stopped',
  );
  // What is not settled in time is in the ledger as lost.
  const isEmpty = async () => (await fleet.sumOf('queue', 'postrider_queue_mails')) === 0;
  await eventually(isEmpty, SETTLED_MS_MAX, 'the queue is empty').catch(() => undefined);
  const arrivals = arrivalsOf(name, await fleet.ask(SINK.name, 'arrivals'));
  const half = senderHalf(await fleet.ask(name, 'ledger'));
  const mine = new Set(arrivals.flatMap(({ queueIds }) => queueIds));
  const inDoubt = new Map([...fleet.inDoubt()].filter(([id]) => mine.has(id)));
  const ledger = ledgerOf(half, arrivals, inDoubt);
  console.info(`${name}\n${ledgerText(ledger)}${delaysText(delaysMs)}`);
  return { ledger, delaysMs };
}

/** Of the mails that have arrived since this was asked last. */
async function delays(fleet: Fleet): Promise<Delays> {
  const sorted = (await fleet.ask(SINK.name, 'delays')).sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? 0, longest: sorted.at(-1) ?? 0 };
}

function delaysText(delaysMs: Record<string, Delays>): string {
  const line = ([step, { median, longest }]: [string, Delays]) =>
    `${step.padEnd(20)} median ${median} ms, longest ${longest} ms\n`;
  return `delay of mails\n${Object.entries(delaysMs).map(line).join('')}`;
}

/** Resolves when so many more mails have arrived. */
export async function flows(fleet: Fleet, mails: number): Promise<void> {
  const before = await fleet.ask(SINK.name, 'taken');
  const arrived = async () => (await fleet.ask(SINK.name, 'taken')) >= before + mails;
  await eventually(arrived, FLOWS_MS_MAX, `${mails} more mails arrive`);
}
