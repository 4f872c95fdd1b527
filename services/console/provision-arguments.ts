// The arguments of `postrider provision`.
import type { Command } from 'commander';
import { provisionStreams } from './provision-streams.ts';
import { seconds } from './smoke-arguments.ts';

interface ProvisionArguments {
  config?: string;
  dryRun?: boolean;
  allowShrink?: boolean;
  timeout: number;
}

interface Surroundings {
  env: Record<string, string | undefined>;
  out: (text: string) => void;
}

const TIMEOUT_DEFAULT_S = 60;

/** Adds the command to `program`. */
export function addProvision(program: Command, { env, out }: Surroundings): void {
  program
    .command('provision')
    .description(
      'makes the streams that the configuration asks for, and lets those that are there grow with it',
    )
    .option('--config <file>', 'configuration file (YAML); default: POSTRIDER_CONFIG, else all defaults')
    .option('--dry-run', 'only says what it would do')
    .option(
      '--allow-shrink',
      'lets max_bytes and replicas become less, as long as what is stored fits; ages never',
    )
    .option(
      '--timeout <s>',
      'how long NATS, and then JetStream, is tried, in seconds',
      seconds,
      TIMEOUT_DEFAULT_S,
    )
    .action(async ({ config, dryRun = false, allowShrink = false, timeout }: ProvisionArguments) => {
      await provisionStreams({ config, dryRun, allowShrink, timeoutMs: timeout * 1000 }, env, out);
    });
}
