// Docker Compose, by either of its names: the program of its first version, the plugin of docker of its second.
import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { onPath } from '../../deploy/local/on-path.mjs';

export const COMPOSE_FILE = fileURLToPath(new URL('../../deploy/compose.yaml', import.meta.url));
const OUTPUT_OCTETS_MAX = 16 * 1024 * 1024;

/** First words of a command line, for each that is installed. */
export function composeCommands(): string[][] {
  const program = onPath('docker-compose');
  const hasPlugin = spawnSync('docker', ['compose', 'version']).status === 0;
  return [...(program === undefined ? [] : [[program]]), ...(hasPlugin ? [['docker', 'compose']] : [])];
}

/** Says that there is none; throws where every check must be run. */
export function missComposeAloud(): void {
  const words = 'No Docker Compose is installed: deploy/compose.yaml is not tried.';
  if (process.env.POSTRIDER_CHECKS === 'all') throw new Error(words);
  console.warn(words);
}

/** A project of deploy/compose.yaml: its containers, network and volumes have the name before theirs. */
export class ComposeProject {
  readonly #command: readonly string[];
  readonly #name: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(options: { command: readonly string[]; name: string; env: Readonly<Record<string, string>> }) {
    this.#command = options.command;
    this.#name = options.name;
    this.#env = options.env;
  }

  /** What it prints; rejects with that when it fails. */
  async run(...args: string[]): Promise<string> {
    const [program = '', ...first] = this.#command;
    const all = [...first, '-p', this.#name, '-f', COMPOSE_FILE, ...args];
    const options = { env: { ...process.env, ...this.#env }, maxBuffer: OUTPUT_OCTETS_MAX };
    const { stdout } = await promisify(execFile)(program, all, options);
    return stdout;
  }
}
