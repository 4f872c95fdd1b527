// `postrider provision`: what an installation runs before its services, and again at every upgrade. The only user of NATS that
// may make or change streams.
//
// Fails: ProvisionError when the configuration is wrong, NATS refuses us or is away, or a stream is refused.
import { ConfigError, loadConfig } from '#libs/config/load.ts';
import type { Config } from '#libs/config/schema.ts';
import { LinkError } from '#libs/nats/dial.ts';
import { layoutOf } from '#libs/nats/layout.ts';
import { connectLink, type Link } from '#libs/nats/link.ts';
import { linkOptions } from '#libs/nats/link-options.ts';
import { ProvisionError, type Provisioned, provisionAll } from '#libs/nats/provision.ts';
import { changeText } from '#libs/nats/streams.ts';
import { countText } from './quantities.ts';

export interface ProvisionRun {
  config: string | undefined;
  dryRun: boolean;
  allowShrink: boolean;
  timeoutMs: number;
}

type Env = Record<string, string | undefined>;

/** "SPOOL_0     changed: max_bytes 1 octets -> 2 octets". */
export function resultText(result: Provisioned): string {
  const name = result.stream.padEnd(11);
  switch (result.kind) {
    case 'changed':
      return `${name} changed: ${result.changes.map(changeText).join(', ')}\n`;
    case 'refused':
      return `${name} refused: ${result.reason}\n`;
    case 'untouched':
      return `${name} not touched, because another one is refused\n`;
    case 'made':
    case 'unchanged':
      return `${name} ${result.kind}\n`;
  }
}

function configOf({ config }: ProvisionRun, env: Env): Config {
  try {
    return loadConfig(config, env);
  } catch (error) {
    if (error instanceof ConfigError) throw new ProvisionError(error.message);
    throw error;
  }
}

async function connected(
  config: Config,
  env: Env,
  options: { timeoutMs: number; say: (words: string) => void },
) {
  const onStatus = (words: string) => options.say(`nats: ${words}`);
  const link = { ...linkOptions(config.nats, env), tryForMs: options.timeoutMs, onStatus };
  try {
    return await connectLink({ ...link, service: 'provision' });
  } catch (error) {
    if (error instanceof LinkError) throw new ProvisionError(error.message);
    throw error;
  }
}

/** Prints a line for each step: who we are to whom, what is waited for, what has been done about each stream. */
export async function provisionStreams(
  run: ProvisionRun,
  env: Env,
  out: (text: string) => void,
): Promise<void> {
  const config = configOf(run, env);
  const say = (words: string) => out(`${words}\n`);
  const link = await connected(config, env, { timeoutMs: run.timeoutMs, say });
  try {
    if (run.dryRun) say('Nothing is changed: this only says what would be done.');
    await provisionWith(link, config, { ...run, say, out });
  } finally {
    await link.close();
  }
}

interface Printing {
  say: (words: string) => void;
  out: (text: string) => void;
}

async function provisionWith(link: Link, config: Config, { say, out, ...run }: ProvisionRun & Printing) {
  const results = await provisionAll(link, layoutOf(config.nats), {
    dryRun: run.dryRun,
    allowShrink: run.allowShrink,
    awaitCopies: true,
    giveUpAfterMs: run.timeoutMs,
    onResult: (result) => out(resultText(result)),
    onWait: (words) => say(`waiting: ${words}`),
  });
  const refused = results.filter(({ kind }) => kind === 'refused').length;
  if (refused > 0) throw new ProvisionError(`${countText(refused, 'stream')} refused`);
}
