// Mail under load while processes fail as a plan says, with a ledger at both ends. A run ends when every accepted mail has come to
// the sink (or was reported to its sender), never by what a gauge says; then sender, sink and queue are compared.
// Fails: a service that does not come back, or 5xx to a good mail, rejects; broken promises are in the result.
import { setTimeout as pause } from 'node:timers/promises';
import { inDoubtOf } from '#kit/in-doubt.ts';
import { type Ledger, ledgerOf } from '#kit/load-ledger.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { connectQueueAdmin } from '#libs/rpc/queue-admin-client.ts';
import type { CalmState } from './calm.machine.ts';
import { CrashStage } from './crash-stage.ts';
import { type Fault, faultPlan, faultText, type PlanOptions } from './fault-plan.ts';
import { historiesOf, reasonsToExplain } from './history.ts';
import { recipientsOf } from './load-mix.ts';
import { PARTITIONS, Watch } from './watch.ts';

export interface CrashOptions extends PlanOptions {
  /** Mails sent per second. */
  rate: number;
  octets: number;
  hosts: {
    /** Between the final dot and its reply, and up to twice that: the window in which a death leaves a doubt. */
    answerAfterMs: number;
    /** Of the hundredth mail. */
    slowAfterMs: number;
  };
  /** Clocks of processes differ. */
  skew?: boolean;
  /** delivery.inDoubt: hold; what is held is released at the end. */
  hold?: boolean;
  /** Folder of the tree whose services run. */
  root?: string;
  parentFolder?: string;
  say: (line: string) => void;
}

/** What was held (delivery.inDoubt: hold) when all else had come. */
export interface Held {
  mails: number;
  /** Held though nothing of them was in doubt. */
  without: string[];
  /** In doubt and not held any more: their worker was only away, and its late word settled them. */
  settled: number;
}

export interface CrashResult {
  faults: number;
  ledger: Ledger;
  calm: CalmState;
  /** From the last fault until all had come, ms; and how many had not within the bound. */
  settledMs: number;
  boundMs: number;
  leftAfterBound: number;
  /** Still in the queue though they have come. */
  leftInQueue: number;
  held: Held | undefined;
  /** Of what is unexplained, lost or slow, and of a few doubts that brought nothing twice. */
  histories: string[];
}

const SESSIONS = 40;
const BACK_WITHIN_MS = 60_000;
const SAY_EVERY_MS = 5000;
/** Death is known after 5 s, loading and another attempt take the rest, with the longest pause of the schedule (10 s) and slow hosts. */
const SETTLED_WITHIN_MS = 60_000;
/** What has not come by then is said, with the history of its attempts at the end. */
const SLOW_AFTER_MS = 20_000;
/** What has not come by then never does. */
const GIVE_UP_AFTER_MS = 3 * SETTLED_WITHIN_MS;
const SAID_MAX = 10;
const LIST_MAX = 100_000;

class CrashRun {
  readonly #options: CrashOptions;
  readonly #stage: CrashStage;
  readonly #sender: LoadSender;
  readonly #watch: Watch;
  #startedAtMs = Date.now();
  /** Tokens that took longer than most. */
  #slow: string[] = [];

  constructor(options: CrashOptions, stage: CrashStage) {
    this.#options = options;
    this.#stage = stage;
    this.#watch = new Watch(stage);
    this.#sender = new LoadSender({
      ports: [0, 1].map((index) => stage.cluster.smtpPort(0, index)),
      sessions: SESSIONS,
      mails: Number.POSITIVE_INFINITY,
      octets: options.octets,
      tokenPrefix: `s${options.seed}`,
      forwardPath: recipientsOf,
      perSecond: options.rate,
    });
  }

  async run(): Promise<CrashResult> {
    const { cluster } = this.#stage;
    const allOwned = async () => ((await this.#watch.owned()) === PARTITIONS ? true : undefined);
    await cluster.until('partitions are owned', allOwned, BACK_WITHIN_MS);
    this.#startedAtMs = Date.now();
    const sending = this.#sender.run();
    // A rejection is seen when it is awaited below, or at the end.
    sending.catch(() => undefined);
    const watching = this.#watch.run();
    const progress = setInterval(() => void this.#sayProgress(), SAY_EVERY_MS);
    const faults = faultPlan(this.#options);
    try {
      const all = faults.map((fault) => this.#performAt(fault));
      await Promise.race([Promise.all([...all, pause(this.#options.lengthMs)]), sending]);
      this.#sender.stop();
      await sending;
      return await this.#settle(faults.length);
    } finally {
      clearInterval(progress);
      this.#watch.stop();
      await watching;
    }
  }

  async #performAt(fault: Fault): Promise<void> {
    await pause(Math.max(0, this.#startedAtMs + fault.atMs - Date.now()));
    this.#say(faultText(fault));
    await this.#stage.perform(fault);
    this.#say(`over: ${faultText(fault)}`);
  }

  #say(line: string): void {
    this.#options.say(`${((Date.now() - this.#startedAtMs) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  }

  async #sayProgress(): Promise<void> {
    const taken = await this.#stage.sink.ask('taken');
    this.#say(
      `${this.#sender.accepted.size} accepted, ${taken} came, ${inDoubtOf(this.#stage.cluster).size} in doubt`,
    );
  }

  /** Accepted mails, or recipients of them, that have not come. */
  #missing(known?: readonly string[]): Promise<string[]> {
    const { accepted, several } = this.#sender;
    const asked =
      known ??
      [...accepted.keys()].flatMap((token) => {
        const paths = several.get(token);
        return paths === undefined ? [token] : paths.map((path) => `${token}/${path}`);
      });
    return this.#stage.sink.missing(asked);
  }

  /** Waits until all have come, or are held where that is the policy. */
  async #settle(faults: number): Promise<CrashResult> {
    const fromMs = performance.now();
    const { settledMs, late } = await this.#untilCome(fromMs);
    const held = this.#options.hold ? await this.#held() : undefined;
    let ledger = await this.#ledger();
    if (held !== undefined) {
      await this.#release();
      late.push(...(await this.#untilCome(performance.now())).late);
      // Copies that come of the release are the operator's choice: those before it count.
      const { lost, delivered } = await this.#ledger();
      ledger = { ...ledger, lost, delivered };
    }
    const leftInQueue = await this.#untilQueueIsEmpty();
    if (held === undefined) ledger = await this.#ledger();
    return {
      faults,
      ledger,
      calm: this.#watch.calm,
      settledMs,
      boundMs: SETTLED_WITHIN_MS,
      leftAfterBound: late.length,
      leftInQueue,
      held,
      histories: await this.#histories(ledger),
    };
  }

  async #ledger(): Promise<Ledger> {
    return ledgerOf(this.#sender, await this.#stage.sink.ask('arrivals'), inDoubtOf(this.#stage.cluster));
  }

  /** Waits; `late` has tokens that had neither come nor were held within the bound. */
  async #untilCome(fromMs: number): Promise<{ settledMs: number; late: string[] }> {
    let missing = await this.#missing();
    let late: string[] | undefined;
    for (;;) {
      const unheld = missing.length > 0 && this.#options.hold ? await this.#unheld(missing) : missing;
      const forMs = performance.now() - fromMs;
      if (forMs > SLOW_AFTER_MS && this.#slow.length === 0) this.#slow = await this.#sayLate(unheld);
      if (forMs > SETTLED_WITHIN_MS) late ??= tokensOf(unheld);
      if (unheld.length === 0 || forMs > GIVE_UP_AFTER_MS) return { settledMs: forMs, late: late ?? [] };
      await pause(500);
      missing = await this.#missing(missing);
    }
  }

  /** Says where the queue has them; resolves with their tokens. */
  async #sayLate(missing: readonly string[]): Promise<string[]> {
    const tokens = tokensOf(missing);
    const listed = new Map((await this.#list()).map((mail) => [mail.queueId, mail.recipients]));
    for (const token of tokens.slice(0, SAID_MAX)) {
      const queueId = this.#sender.accepted.get(token) ?? '';
      const phases = listed.get(queueId)?.map(({ phase, attempts }) => `${phase} after ${attempts} attempts`);
      this.#say(`late: ${token} ${queueId}: ${phases?.join(', ') ?? 'not listed'}`);
    }
    return tokens;
  }

  async #heldIds(): Promise<Set<string>> {
    const mails = await this.#list();
    const held = mails.filter(({ recipients }) => recipients.some(({ phase }) => phase === 'held'));
    return new Set(held.map(({ queueId }) => queueId));
  }

  async #list() {
    const admin = connectQueueAdmin(this.#stage.cluster.adminAddress());
    try {
      return (await admin.list({ domain: '', limit: LIST_MAX })).mails;
    } finally {
      admin.close();
    }
  }

  /** Those that are not held. */
  async #unheld(missing: readonly string[]): Promise<string[]> {
    const held = await this.#heldIds();
    return missing.filter((asked) => !held.has(this.#sender.accepted.get(asked.split('/')[0]!) ?? ''));
  }

  /** Compares what is held with what was in doubt. */
  async #held(): Promise<Held> {
    // What is out is not held yet: nothing else is left when it has come back.
    await this.#untilOnlyHeld();
    const held = await this.#heldIds();
    const doubted = inDoubtOf(this.#stage.cluster);
    const without = [...held].filter((id) => !doubted.has(id));
    return { mails: held.size, without, settled: [...doubted.keys()].filter((id) => !held.has(id)).length };
  }

  async #untilOnlyHeld(): Promise<void> {
    const untilMs = performance.now() + SETTLED_WITHIN_MS;
    for (;;) {
      const others = (await this.#list()).filter(({ recipients }) =>
        recipients.some(({ phase }) => phase !== 'held'),
      );
      if (others.length === 0 || performance.now() > untilMs) return;
      await pause(1000);
    }
  }

  async #release(): Promise<void> {
    const admin = connectQueueAdmin(this.#stage.cluster.adminAddress());
    for (const queueId of await this.#heldIds()) await admin.flush({ queueId, domain: '' });
    admin.close();
  }

  /** How many mails the queue still has after the bound, though they have come. */
  async #untilQueueIsEmpty(): Promise<number> {
    const untilMs = performance.now() + SETTLED_WITHIN_MS;
    for (;;) {
      const left = (await this.#stage.cluster.sumOf('queue', 'postrider_queue_mails')) ?? 1;
      if (left === 0 || performance.now() > untilMs) return left;
      await pause(500);
    }
  }

  async #histories(ledger: Ledger): Promise<string[]> {
    const arrivals = await this.#stage.sink.ask('arrivals');
    const reasons = reasonsToExplain({
      ledger,
      slow: this.#slow,
      arrivals,
      inDoubt: inDoubtOf(this.#stage.cluster),
    });
    const known = new Map(arrivals.map((one) => [one.token, one]));
    const wanted = [...reasons].map(([token, reason]) => ({
      reason,
      arrival: known.get(token) ?? { token, times: 0, queueIds: [this.#sender.accepted.get(token) ?? ''] },
    }));
    return historiesOf(this.#stage, wanted, this.#startedAtMs);
  }
}

/** Of tokens, some with a recipient. */
function tokensOf(asked: readonly string[]): string[] {
  return [...new Set(asked.map((one) => one.split('/')[0]!))];
}

/** Runs it all; `use` gets the result while the logs are still there. */
export async function runCrash<T>(
  options: CrashOptions,
  use: (result: CrashResult, stage: CrashStage) => T | Promise<T>,
): Promise<T> {
  const stage = await CrashStage.open(options);
  try {
    return await use(await new CrashRun(options, stage).run(), stage);
  } finally {
    await stage.close();
  }
}
