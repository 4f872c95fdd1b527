// kubectl and helm as check.ts runs them: whatever is on the PATH, at whatever cluster kubectl points at.
// Fails: CommandFailed with the command and the last lines that it said.
import { spawn } from 'node:child_process';

export class CommandFailed extends Error {}

const LINES_SHOWN = 20;

/** Runs to the end and resolves with standard output; `input` is its standard input. */
export function command(name: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const said: Record<'out' | 'err', string> = { out: '', err: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      said.out += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said.err += chunk.toString();
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.once('error', (error) => reject(new CommandFailed(`${name}: ${error.message}`)));
    child.once('close', (code) => {
      if (code === 0) resolve(said.out);
      else {
        const words = `${said.out}${said.err}`.trim().split('\n').slice(-LINES_SHOWN).join('\n');
        reject(new CommandFailed(`${name} ${args.join(' ')}: exit code ${code}\n${words}`));
      }
    });
  });
}

/** kubectl in one namespace. */
export class Kubectl {
  readonly namespace: string;

  constructor(namespace: string) {
    this.namespace = namespace;
  }

  run(...args: string[]): Promise<string> {
    return command('kubectl', ['--namespace', this.namespace, ...args]);
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.run(...args, '--output=json')) as T;
  }

  apply(objects: readonly object[]): Promise<string> {
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    return command('kubectl', ['--namespace', this.namespace, 'apply', '--filename=-'], list);
  }
}
