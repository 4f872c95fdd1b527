// Mail under load while processes fail as a plan says, with a ledger at both ends. A run ends when every accepted mail has come to
// the sink (or was reported to its sender), never by what a gauge says; then sender, sink and queue are compared.
// Fails: a service that does not come back, or 5xx to a good mail, rejects; broken promises are in the result.
import { setTimeout as pause } from 'node:timers/promises';
import { inDoubtOf } from '#kit/in-doubt.ts';
import { isKept, type Ledger, ledgerOf } from '#kit/load-ledger.ts';
import { LoadSender } from '#kit/load-sender.ts';
import { connectQueueAdmin } from '#libs/rpc/queue-admin-client.ts';
import type { CalmState } from './calm.machine.ts';
import { CrashStage } from './crash-stage.ts';
import { type Fault, faultPlan, faultText, type PlanOptions } from './fault-plan.ts';
import { historiesOf } from './history.ts';
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
  /** Held though nothing of them was in doubt, and the other way round. */
  without: string[];
  missing: string[];
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
  /** Of what is unexplained or lost. */
  histories: string[];
}

const SESSIONS = 40;
const BACK_WITHIN_MS = 60_000;
const SAY_EVERY_MS = 5000;
/** Death is known after 5 s, loading and another attempt take the rest, with the longest pause of the schedule (10 s) and slow hosts. */
const SETTLED_WITHIN_MS = 60_000;
/** What has not come by then does not come. */
const GIVE_UP_AFTER_MS = 3 * SETTLED_WITHIN_MS;
const HISTORIES_MAX = 10;
const LIST_MAX = 100_000;

class CrashRun {
  readonly #options: CrashOptions;
  readonly #stage: CrashStage;
  readonly #sender: LoadSender;
  readonly #watch: Watch;
  #startedAtMs = Date.now();
  #lastFaultAtMs = performance.now();

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
    try {
      const faults = faultPlan(this.#options);
      const { lengthMs } = this.#options;
      const all = Promise.all(faults.map((fault) => this.#performAt(fault)));
      await Promise.race([Promise.all([all, pause(lengthMs)]), sending]);
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
    this.#lastFaultAtMs = performance.now();
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
    const fromMs = Math.max(this.#lastFaultAtMs, performance.now() - 1);
    const first = await this.#untilCome(fromMs);
    const held = this.#options.hold ? await this.#held() : undefined;
    const ledgerBefore = await this.#ledger();
    if (held !== undefined) await this.#release();
    const { settledMs, left } =
      held === undefined ? first : { ...first, left: (await this.#untilCome(performance.now())).left };
    const leftInQueue = await this.#untilQueueIsEmpty();
    // Copies that are sent after a release are the operator's choice: those before it count.
    const after = await this.#ledger();
    const ledger =
      held === undefined ? after : { ...ledgerBefore, lost: after.lost, delivered: after.delivered };
    return {
      faults,
      ledger,
      calm: this.#watch.calm,
      settledMs,
      boundMs: SETTLED_WITHIN_MS,
      leftAfterBound: left,
      leftInQueue,
      held,
      histories: await this.#histories(ledger),
    };
  }

  async #ledger(): Promise<Ledger> {
    return ledgerOf(this.#sender, await this.#stage.sink.ask('arrivals'), inDoubtOf(this.#stage.cluster));
  }

  async #untilCome(fromMs: number): Promise<{ settledMs: number; left: number }> {
    let missing = await this.#missing();
    let left: number | undefined;
    for (;;) {
      const forMs = performance.now() - fromMs;
      if (forMs > SETTLED_WITHIN_MS) left ??= missing.length;
      const isDone = missing.length === 0 || (this.#options.hold && (await this.#areHeld(missing)));
      if (isDone || forMs > GIVE_UP_AFTER_MS) return { settledMs: forMs, left: left ?? 0 };
      await pause(500);
      missing = await this.#missing(missing);
    }
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

  async #areHeld(missing: readonly string[]): Promise<boolean> {
    const held = await this.#heldIds();
    return missing.every((asked) => held.has(this.#sender.accepted.get(asked.split('/')[0]!) ?? ''));
  }

  /** Compares what is held with what was in doubt. */
  async #held(): Promise<Held> {
    // What is out is not held yet: nothing else is left when it has come back.
    await this.#untilOnlyHeld();
    const held = await this.#heldIds();
    const doubted = inDoubtOf(this.#stage.cluster);
    const without = [...held].filter((id) => !doubted.has(id));
    return { mails: held.size, without, missing: [...doubted.keys()].filter((id) => !held.has(id)) };
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
    const wanted = new Set(
      [...ledger.unexplained.map(({ token }) => token), ...ledger.lost].slice(0, HISTORIES_MAX),
    );
    if (wanted.size === 0) return [];
    const arrivals = new Map((await this.#stage.sink.ask('arrivals')).map((one) => [one.token, one]));
    const of = (token: string) =>
      arrivals.get(token) ?? { token, times: 0, queueIds: [this.#sender.accepted.get(token) ?? ''] };
    return historiesOf(this.#stage, [...wanted].map(of), this.#startedAtMs);
  }
}

/** True when every promise was kept. */
export function isGood(result: CrashResult): boolean {
  const { ledger, calm, leftAfterBound, leftInQueue, held } = result;
  const isHeldRight = held === undefined || (held.without.length === 0 && held.missing.length === 0);
  const isTwice = held !== undefined && ledger.duplicates > 0;
  const isOver = leftAfterBound === 0 && leftInQueue === 0;
  return isKept(ledger) && calm.violations.length === 0 && isOver && isHeldRight && !isTwice;
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
