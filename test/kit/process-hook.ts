// Loaded into a service before its own code (node --import), by tests only: shifts the clock, writes what the process says and
// hears about attempts to a file, and lets the process stop itself (SIGSTOP) in the middle of saying something. What to do stands
// in its own URL: `?shift=<ms>&trace=<file>`; when to stop comes over the channel to the parent: `{ freezeIn: Moment }`.
//
// Lines of the file: Unix time in ms by the machine's own clock, what happened, attempt id, and with whom.
import { openSync, writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** What a process says, by the first part of its subject. */
export type Saying = 'deliver' | 'outcome' | 'checkpoint' | 'outcome-ack';

/** In the n-th one from now on, before or after it is handed to the connection. */
export interface Moment {
  saying: Saying;
  nth: number;
  side: 'before' | 'after';
}

interface Asked {
  subject: string;
  payload: Uint8Array;
}

type Hear = (message: { subject: string; data: Uint8Array }) => void;
type OnAnswer = (answer: { kind: string; record?: { data: Uint8Array } }) => void;

/** What is wrapped of a link. */
interface LinkMethods {
  publish(subject: string, payload: Uint8Array): unknown;
  ask(question: Asked, onAnswer: OnAnswer): unknown;
  subscribe(subject: string, hear: Hear, options?: object): unknown;
}

interface Codec {
  decode(octets: Uint8Array): Decoded;
}

/** Of all kinds of messages, those fields that name attempts. */
interface Decoded {
  jobs?: { attemptId: string }[];
  accepted?: string[];
  outcomes?: { attemptId: string; kind: number; inDoubt: boolean; reply?: { code: number; text: string } }[];
  attemptIds?: string[];
  ended?: string[];
  cancelled?: string[];
  adopted?: string[];
}

const asked = new URL(import.meta.url).searchParams;
const machineNow = Date.now.bind(Date);

function shiftClock(byMs: number): void {
  const RealDate = Date;
  const now = () => machineNow() + byMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args) => Reflect.construct(target, args.length === 0 ? [now()] : args),
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  });
}

/** What a message says of attempts, a line for each. */
function* linesOf(saying: string, message: Decoded): Generator<string> {
  for (const { attemptId } of message.jobs ?? []) yield `job ${attemptId}`;
  for (const id of message.accepted ?? []) yield `accepted ${id}`;
  for (const { attemptId, kind, inDoubt, reply } of message.outcomes ?? []) {
    const fate = inDoubt ? 'in doubt' : `kind ${kind}`;
    yield `outcome ${attemptId} ${fate} ${reply?.code ?? ''} ${(reply?.text ?? '').slice(0, 60)}`;
  }
  for (const id of message.attemptIds ?? []) yield `${saying} ${id}`;
  for (const key of ['ended', 'cancelled', 'adopted'] as const) {
    for (const id of message[key] ?? []) yield `${saying}-${key} ${id}`;
  }
}

class Hook {
  readonly #codecs: ReadonlyMap<string, Codec>;
  readonly #file: number | undefined;
  #moment: Moment | undefined;

  constructor(codecs: ReadonlyMap<string, Codec>, traceFile: string | null) {
    this.#codecs = codecs;
    this.#file = traceFile === null ? undefined : openSync(traceFile, 'a');
    process.on('message', (message: { freezeIn?: Moment }) => {
      this.#moment = message.freezeIn;
    });
  }

  #note(verb: string, subject: string, payload: Uint8Array): void {
    const saying = subject.split('.', 1)[0]!;
    const codec = this.#codecs.get(saying);
    if (codec === undefined || this.#file === undefined) return;
    let text = '';
    try {
      for (const line of linesOf(saying, codec.decode(payload))) {
        text += `${machineNow()} ${verb} ${line} ${subject}\n`;
      }
    } catch {
      text = `${machineNow()} ${verb} ${saying} that cannot be read ${subject}\n`;
    }
    if (text !== '') writeSync(this.#file, text);
  }

  #freezeIf(subject: string, side: Moment['side']): void {
    const moment = this.#moment;
    if (moment === undefined || moment.side !== side || !subject.startsWith(`${moment.saying}.`)) return;
    moment.nth -= 1;
    if (moment.nth > 0) return;
    this.#moment = undefined;
    process.kill(process.pid, 'SIGSTOP');
  }

  /** Does `say` between the two sides of the moment. */
  #around<T>(subject: string, payload: Uint8Array, say: () => T): T {
    this.#freezeIf(subject, 'before');
    this.#note('says', subject, payload);
    const said = say();
    this.#freezeIf(subject, 'after');
    return said;
  }

  install(methods: LinkMethods): void {
    const { publish, ask, subscribe } = methods;
    const around = <T>(subject: string, payload: Uint8Array, say: () => T) =>
      this.#around(subject, payload, say);
    const note = (verb: string, subject: string, payload: Uint8Array) => this.#note(verb, subject, payload);
    methods.publish = function (subject, payload) {
      return around(subject, payload, () => publish.call(this, subject, payload));
    };
    methods.ask = function (question, onAnswer) {
      const { subject, payload } = question;
      if (!subject.startsWith('checkpoint.'))
        return around(subject, payload, () => ask.call(this, question, onAnswer));
      const hear: OnAnswer = (answer) => {
        const refusal = Buffer.from(answer.record?.data ?? []).includes('"error"') ? 'refused' : 'stored';
        note(answer.kind === 'answer' ? refusal : answer.kind, subject, payload);
        onAnswer(answer);
      };
      return around(subject, payload, () => ask.call(this, question, hear));
    };
    methods.subscribe = function (subject, hear, options) {
      const noted: Hear = (message) => {
        note('hears', message.subject, message.data);
        hear(message);
      };
      return subscribe.call(this, subject, noted, options);
    };
  }
}

/** Of the service that is started, which may be of another commit. */
async function install(traceFile: string | null): Promise<void> {
  const root = new URL('../../', pathToFileURL(process.argv[1]!));
  const { Link } = await import(new URL('libs/nats/link.ts', root).href);
  const { JobBatch, OutcomeBatch, OutcomeAck, Checkpoint } = await import(
    new URL('proto/gen/postrider/v1/job.ts', root).href
  );
  const codecs = new Map<string, Codec>([
    ['deliver', JobBatch],
    ['outcome', OutcomeBatch],
    ['outcome-ack', OutcomeAck],
    ['checkpoint', Checkpoint],
  ]);
  new Hook(codecs, traceFile).install(Link.prototype);
}

if (asked.has('shift')) shiftClock(Number(asked.get('shift')));
if (process.argv[1] !== undefined) await install(asked.get('trace'));
