// Messages that nobody can read, at a steady rate: on presence, and in turn on every other subject that a service hears or reads.
// Claims and fences are left out: who writes there takes a partition away, whatever is in the record.
// Fails: never; what cannot be sent is dropped.
import { randomBytes } from 'node:crypto';
import { subjects } from '#libs/nats/layout.ts';
import type { TroubleStage } from './trouble-stage.ts';
import type { Lasting } from './troubles.ts';

const TICK_MS = 10;
const SERVICES = ['ingress', 'queue', 'resolver', 'delivery'] as const;
/** No protobuf, one that ends in the middle, nothing, text, and chance. */
const NONSENSE: readonly (() => Buffer)[] = [
  () => Buffer.from([0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  () => Buffer.from([0x0a, 0x7f, 0x41]),
  () => Buffer.alloc(0),
  () => Buffer.from('{"not": "protobuf"}'),
  () => randomBytes(200),
];

export class Garbage {
  #sent = 0;
  readonly #stage: TroubleStage;
  readonly #subjects: string[];

  private constructor(stage: TroubleStage, heard: string[]) {
    this.#stage = stage;
    this.#subjects = heard;
  }

  static start(stage: TroubleStage): Lasting {
    const garbage = new Garbage(stage, subjectsHeard(stage));
    const startedAtMs = performance.now();
    const timer = setInterval(() => garbage.#send((performance.now() - startedAtMs) / TICK_MS), TICK_MS);
    return {
      end: () => Promise.resolve(clearInterval(timer)),
      says: async () => [
        `${2 * garbage.#sent} messages on ${garbage.#subjects.length + SERVICES.length} subjects; processes alive: ` +
          `${stage.cluster.processes().filter(({ running }) => running).length} of ${stage.cluster.processes().length}`,
      ],
    };
  }

  /** As many as are due. */
  #send(due: number): void {
    const { link } = this.#stage;
    for (; this.#sent < due; this.#sent++) {
      const n = this.#sent;
      const nonsense = NONSENSE[n % NONSENSE.length]!();
      link.publishRecord(subjects.presence(SERVICES[n % SERVICES.length]!), nonsense, {});
      link.publishRecord(this.#subjects[n % this.#subjects.length]!, nonsense, {});
    }
  }
}

function subjectsHeard(stage: TroubleStage): string[] {
  const numbers = stage.streams.flatMap((k) => stage.partitionsOf(k));
  const workers = stage.cluster.processes().flatMap(({ ready }) => (ready.instance as string) ?? []);
  return [
    ...numbers.flatMap((p) => [
      subjects.inflight(p),
      subjects.outcome(p),
      subjects.checkpoint(p),
      subjects.deliver(p),
      subjects.spool(p),
      subjects.settle(p),
      subjects.mail(p, 'nobody'),
    ]),
    ...workers.map((worker) => subjects.outcomeAck(worker)),
    subjects.resolveRoute,
    subjects.resolveRecipient,
    subjects.traceRules,
    'admin.queue.list',
    'admin.queue.flush',
  ];
}
