// Follows the rules of operators about whose mail is traced: one record of the stream RULES, which a queue instance changes.
//
// Fails: rules that cannot be read at the start hold as soon as they can be; a record that cannot be understood is reported,
// and the rules before it stay.
import { readMessage } from '#libs/nats/decoding.ts';
import type { DirectGet } from '#libs/nats/direct-get.ts';
import { RULES_STREAM, subjects } from '#libs/nats/layout.ts';
import type { Link } from '#libs/nats/link.ts';
import { Follower, type StoredRecord } from '#libs/nats/reading.ts';
import { TraceRules } from '#proto/postrider/v1/rules.ts';
import type { ForcedByRule } from './forced-rules.ts';

export interface FollowedRulesOptions {
  link: Link;
  direct: DirectGet;
  /** What is kept up to date. */
  rules: ForcedByRule;
  onTrouble: (reason: string) => void;
  /** Other rules hold now; so many. */
  onChange: (rules: number) => void;
}

export class FollowedRules {
  readonly #options: FollowedRulesOptions;
  #follower: Follower | undefined;

  constructor(options: FollowedRulesOptions) {
    this.#options = options;
  }

  /** Resolves when the rules that are there hold. */
  async start(): Promise<void> {
    const { direct, link, onTrouble } = this.#options;
    const got = await direct.lastOf(RULES_STREAM, subjects.traceRules);
    if (got.kind === 'found') this.#take(got.record);
    else if (got.kind === 'unavailable') onTrouble('the rules about traces cannot be read yet');
    const query = {
      stream: RULES_STREAM,
      subject: subjects.traceRules,
      fromSequence: got.kind === 'found' ? got.record.sequence + 1 : 1,
    };
    this.#follower = new Follower(link, query, (record) => this.#take(record));
    await this.#follower.start();
  }

  async stop(): Promise<void> {
    await this.#follower?.stop();
  }

  #take({ data, sequence }: StoredRecord): void {
    const read = readMessage(TraceRules, data, subjects.traceRules);
    if (read === undefined) {
      this.#options.onTrouble(`record ${sequence} of ${RULES_STREAM} cannot be read`);
      return;
    }
    this.#options.rules.replace(read.rules);
    this.#options.onChange(read.rules.length);
  }
}
