export interface Step {
  name: string;
  what: string;
  args: string[];
  isJest?: true;
  /** Rejects with the reason why the step cannot be run on this machine. It may fetch what is missing. */
  needs?: (options: { log: (line: string) => void }) => Promise<unknown>;
}

export const STEPS: Step[];
