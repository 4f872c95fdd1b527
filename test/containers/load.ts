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

export interface Outcome {
  ledger: Ledger;
  /** From the moment at which a mail was due to be sent to its arrival. */
  delaysMs: { median: number; longest: number };
}

/** Runs `happen` under load; `name` begins the tokens of its mails. */
export async function underLoad(fleet: Fleet, name: string, happen: () => Promise<void>): Promise<Outcome> {
  await fleet.ask(SINK.name, 'delays');
  await fleet.startSender(name, PER_SECOND);
  await flows(fleet, STEADY_MAILS);
  await happen();
  await flows(fleet, STEADY_MAILS);
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
  const delays = (await fleet.ask(SINK.name, 'delays')).sort((a, b) => a - b);
  const arrivals = arrivalsOf(name, await fleet.ask(SINK.name, 'arrivals'));
  const half = senderHalf(await fleet.ask(name, 'ledger'));
  const mine = new Set(arrivals.flatMap(({ queueIds }) => queueIds));
  const inDoubt = new Set([...fleet.inDoubt()].filter((id) => mine.has(id)));
  const ledger = ledgerOf(half, arrivals, inDoubt);
  const [median = 0, longest = 0] = [delays[Math.floor(delays.length / 2)], delays.at(-1)];
  console.info(`${name}\n${ledgerText(ledger)}delays: median ${median} ms, longest ${longest} ms`);
  return { ledger, delaysMs: { median, longest } };
}

/** Resolves when so many more mails have arrived. */
export async function flows(fleet: Fleet, mails: number): Promise<void> {
  const before = await fleet.ask(SINK.name, 'taken');
  const arrived = async () => (await fleet.ask(SINK.name, 'taken')) >= before + mails;
  await eventually(arrived, FLOWS_MS_MAX, `${mails} more mails arrive`);
}
