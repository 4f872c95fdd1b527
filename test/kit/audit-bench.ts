// What the audit of one owner costs: 200,000 mails that rest, or wait for a site that is down. Prints how long slices take, as the event
// loop sees it. Slices in which the process had to leave its processor to others are left out: on a busy machine they say how busy it is. The
// processor's clock of a thread is no help: it goes on in steps of up to 4 ms.
import { AttemptLedger } from '../../services/queue/attempts.ts';
import { AuditBudget } from '../../services/queue/audit-budget.ts';
import { Auditor } from '../../services/queue/auditor.actor.ts';
import { CheckpointLedger } from '../../services/queue/checkpoint-ledger.ts';
import { Interned } from '../../services/queue/interned.ts';
import { Mails } from '../../services/queue/mails.ts';
import { PackLedger } from '../../services/queue/pack-ledger.ts';
import { SiteDesk, type WorkItem } from '../../services/queue/site-desk.actor.ts';
import { siteOf } from './queue-rig.ts';

const MAILS = 200_000;
const HOUR_MS = 3_600_000;
let nowMs = 1_000_000;

function bench(phase: 'resting' | 'active'): void {
  const clock = { toWall: (ms: number) => ms, fromWall: (ms: number) => ms };
  const mails = new Mails({
    ledger: new PackLedger(),
    interned: new Interned(),
    stream: 'SPOOL_0',
    clock,
    waitMsMax: () => HOUR_MS,
  });
  const link = { publish: () => true, instance: 'q', payloadMax: 1_000_000 };
  const desk = new SiteDesk({ link, shards: 1, now: () => nowMs });
  desk.actsWhile(() => false);
  const owner = {
    number: 0,
    mails,
    wake: () => {},
    feed: () => true,
    lease: (_: WorkItem) => undefined,
  };
  let overdue = 0;
  const budget = new AuditBudget();
  const auditor = new Auditor({
    owner,
    dispatch: { attempts: new AttemptLedger(), doubt: () => {} },
    checkpoints: { ledger: new CheckpointLedger() },
    reports: { has: () => false, add: () => {} },
    unheard: { holds: () => false },
    context: {
      now: () => nowMs,
      onTrouble: () => {},
      desk,
      routes: { awaits: () => false },
      auditBudget: budget,
      counters: { overdue: { add: (count) => (overdue += count) } },
    },
  });
  const domains = [{ domain: 'a.example', count: 1 }];
  const entries = Array.from({ length: MAILS }, (_, i) => {
    const entry = { queueId: `00mail${i}`, offset: 0, length: 1, acceptedAtMs: nowMs, domains, size: 1 };
    return { ...entry, nullReversePath: false, trace: undefined };
  });
  const pack = { sequence: 1, entries, settled: new Set<number>(), storedAtMs: nowMs, isFresh: true };
  const site = siteOf('mx');
  for (const custody of mails.addPack(pack, nowMs)) {
    custody.message.hasStayed = true;
    custody.message.phase = phase;
    mails.wakeAt(custody, nowMs + HOUR_MS);
    if (phase === 'resting') continue;
    Object.assign(custody.message.recipients[0]!, { phase: 'ready', siteKey: site.key });
    desk.enqueue(site, { leaser: owner, custody, positions: [0], readyAtMs: nowMs });
  }
  const took: number[] = [];
  let interrupted = 0;
  for (let ticks = 0; ticks < 1900; ticks++) {
    nowMs += 100;
    budget.renew();
    const before = process.resourceUsage().involuntaryContextSwitches;
    const startMs = performance.now();
    auditor.tick(nowMs);
    const ms = performance.now() - startMs;
    if (process.resourceUsage().involuntaryContextSwitches === before) took.push(ms);
    else interrupted += ms > 0.02 ? 1 : 0;
  }
  tell(`${phase}: %s and ${interrupted} interrupted ones, %s, overdue ${overdue}`, took);
}

function tell(words: string, took: readonly number[]): void {
  const slices = took.filter((ms) => ms > 0.02);
  const sumMs = slices.reduce((sum, ms) => sum + ms, 0);
  const sorted = slices.toSorted((a, b) => b - a);
  const top = sorted.slice(0, 4).map((ms) => ms.toFixed(2));
  const p99 = sorted[Math.floor(slices.length / 100)]?.toFixed(2);
  const times = `${sumMs.toFixed(1)} ms in ${took.length / 10} s, longest ${top.join(' ')} ms, p99 ${p99} ms`;
  console.log(words, `${slices.length} slices`, times);
}

bench('resting');
bench('active');
