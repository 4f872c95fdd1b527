// `postrider trace show`: asks Jaeger for a mail's traces and prints them.
//
// Fails: a JaegerError when Jaeger cannot be asked, is none, or knows no trace of this mail.
import { type Command, InvalidArgumentError } from 'commander';
import { madeAtMsOf } from '#libs/mail/queue-id.ts';
import { JaegerError, tracesOfMail } from './jaeger.ts';
import { tracesText } from './trace-text.ts';

const JAEGER_DEFAULT = 'http://127.0.0.1:16686';

interface ShowOptions {
  jaeger: string;
  json?: true;
}

export interface ShowSurroundings {
  env: Record<string, string | undefined>;
  out: (text: string) => void;
  err: (text: string) => void;
  now: () => number;
}

/** Adds the command to `trace`. */
export function addTraceShow(trace: Command, surroundings: ShowSurroundings): void {
  trace
    .command('show')
    .description('prints every trace of a mail as a tree, by the queue id of its 250 reply')
    .argument('<queue-id>', 'as the client got it', queueIdOf)
    .option(
      '--jaeger <url>',
      "Jaeger's search page (its query API); also in POSTRIDER_JAEGER",
      urlOf,
      surroundings.env.POSTRIDER_JAEGER || JAEGER_DEFAULT,
    )
    .option('--json', 'every span with all of its attributes, as one JSON document')
    .action((queueId: string, options: ShowOptions) => show(queueId, options, surroundings));
}

function queueIdOf(text: string): string {
  if (Number.isNaN(madeAtMsOf(text))) {
    throw new InvalidArgumentError('expected the 20 characters after "queued as".');
  }
  return text;
}

function urlOf(text: string): string {
  if (!URL.canParse(text) || !/^https?:/.test(text)) {
    throw new InvalidArgumentError('expected a URL such as http://127.0.0.1:16686.');
  }
  return text;
}

async function show(queueId: string, options: ShowOptions, surroundings: ShowSurroundings): Promise<void> {
  const { out, err, now } = surroundings;
  const acceptedAtMs = madeAtMsOf(queueId);
  const { spans, isCut } = await tracesOfMail(options.jaeger, { queueId, acceptedAtMs, nowMs: now() });
  if (spans.length === 0) {
    const why =
      'was it accepted seconds ago, is its trace not kept (telemetry.sampleRatio), or is it too old?';
    throw new JaegerError(`Jaeger knows no trace of mail ${queueId}: ${why}`);
  }
  out(
    options.json ? `${JSON.stringify(spans, undefined, 2)}\n` : tracesText({ queueId, acceptedAtMs }, spans),
  );
  if (isCut) err('postrider: there may be more traces than are shown\n');
}
