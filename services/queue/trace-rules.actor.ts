// Keeps the rules about whose mail is traced, for the operator: one record of the stream RULES, changed by compare-and-set, so
// that any queue instance may be asked. Ingress follows that record.
//
// Fails: throws when JetStream does not answer, or others change the rules again and again meanwhile.
import { readMessage } from '#libs/nats/decoding.ts';
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { RULES_STREAM, subjects } from '#libs/nats/layout.ts';
import { type RecordWriter, troubleText } from '#libs/nats/records.ts';
import type { ForcedAnswer, TraceAdminCalls } from '#libs/rpc/trace-admin.ts';
import type { ForceTraceRequest } from '#proto/postrider/v1/admin.ts';
import { type TraceRule, TraceRules } from '#proto/postrider/v1/rules.ts';
import { holding, nameOf, RULES_MAX, ruleOf, withoutRule, withRule } from './trace-rules.ts';

const STORE_WAIT_MS = 5000;
const TRIES = 10;
/** A replica that is asked may be behind the one that has just refused. */
const AGAIN_MS = 100;

interface Held {
  rules: TraceRule[];
  /** Of the record; 0 when there is none. */
  sequence: number;
}

export interface TraceRulesOptions {
  direct: DirectGet;
  writer: RecordWriter;
  now: () => number;
}

export class TraceRulesDesk implements TraceAdminCalls {
  readonly #options: TraceRulesOptions;

  constructor(options: TraceRulesOptions) {
    this.#options = options;
  }

  async force(request: ForceTraceRequest): Promise<ForcedAnswer> {
    const nowMs = this.#options.now();
    const checked = ruleOf(request, nowMs);
    if (checked.kind === 'invalid') return checked;
    const { rule } = checked;
    const isChanged = await this.#change((rules) => withRule(rules, rule, nowMs));
    const reason = `there are ${RULES_MAX} rules already: stop one (postrider trace ls, postrider trace stop)`;
    return isChanged ? { kind: 'forced', rule } : { kind: 'full', reason };
  }

  async listForced(): Promise<TraceRule[]> {
    return holding((await this.#read()).rules, this.#options.now());
  }

  async stop(name: string): Promise<boolean> {
    const known = nameOf(name);
    if (known === undefined) return false;
    return await this.#change((rules) => withoutRule(rules, known, this.#options.now()));
  }

  /** False when `change` changes nothing. */
  async #change(change: (rules: readonly TraceRule[]) => TraceRule[] | undefined): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      const held = await this.#read();
      const rules = change(held.rules);
      // A try of ours may have been stored and its answer lost: then it is done.
      if (rules === undefined) return tries > 0;
      if (await this.#store(rules, held.sequence)) return true;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
    throw new Error('the rules are being changed by others; try again');
  }

  async #read(): Promise<Held> {
    const got = await this.#options.direct.lastOf(RULES_STREAM, subjects.traceRules);
    if (got.kind === 'unavailable') throw new Error('JetStream does not answer');
    if (got.kind === 'missing') return { rules: [], sequence: 0 };
    const { data, sequence } = got.record;
    const read = readMessage(TraceRules, data, subjects.traceRules);
    if (read === undefined) throw new Error(`record ${sequence} of ${RULES_STREAM} cannot be read`);
    return { rules: read.rules, sequence };
  }

  /** False when the record is not the last one any more. */
  async #store(rules: TraceRule[], after: number): Promise<boolean> {
    const subject = subjects.traceRules;
    const stored = await this.#options.writer.store({
      subject,
      payload: TraceRules.encode({ rules }).finish(),
      id: '',
      fence: { subject, sequence: after },
      giveUpAfterMs: STORE_WAIT_MS,
    });
    if (stored.kind === 'stored') return true;
    if (stored.kind === 'conflict') return false;
    throw new Error(`the rules cannot be stored: ${troubleText(stored)}`);
  }
}
