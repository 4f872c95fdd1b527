import type { Step } from './check-steps.mjs';

export function runChecks(options: {
  steps: Step[];
  runNode: (args: string[]) => Promise<number>;
  log: (line: string) => void;
  print: (line: string) => void;
  folder: string;
  demandsAll: boolean;
}): Promise<number>;
