// Walks every life of a machine: breadth first over all inputs, states seen once (by their JSON), every step checked.
// It never runs a shell; a failed check is reported with the shortest list of inputs that leads to it.

/** One step of a machine: what `receive` made of `input` in `before`. */
export interface Step<State, Input, Effects> {
  before: State;
  input: Input;
  after: State;
  effects: Effects;
}

/** What to walk. `State` must survive structuredClone; the machine may change the clone that it is given. */
export interface Lives<State, Input, Effects> {
  starts: readonly State[];
  /** All facts that can happen in this state; empty where life has ended. */
  inputs(state: State): readonly Input[];
  receive(state: State, input: Input): { state: State; effects: Effects };
  /** Throws when an invariant is broken by the step. */
  check(step: Step<State, Input, Effects>): void;
  /** Equal keys are one state; the JSON of the state when absent. Leave out what does not bear on behaviour. */
  key?(state: State): string;
  /** A walk beyond so many states is an error (the alphabet is too rich); 100,000 when absent. */
  statesMax?: number;
  /** From every state some input sequence must lead to a state that this accepts. */
  mustReach?(state: State): boolean;
}

/** The size of a finished walk, and the states it saw. */
export interface Walked<State> {
  states: State[];
  steps: number;
}

interface Seen<State> {
  state: State;
  cameFrom: number;
  by: unknown;
}

/**
 * Visits every state that can be reached from `starts` and checks every step; returns what it saw.
 * Throws with the inputs that lead to the first broken check, dead end or overrun.
 */
export function walkLives<State, Input, Effects>(lives: Lives<State, Input, Effects>): Walked<State> {
  const keyOf = (state: State) => lives.key?.(state) ?? JSON.stringify(state);
  const statesMax = lives.statesMax ?? 100_000;
  const seen: Seen<State>[] = [];
  const numbers = new Map<string, number>();
  const arrivals: number[][] = [];
  const visit = (state: State, cameFrom: number, by: unknown): number => {
    const key = keyOf(state);
    const known = numbers.get(key);
    if (known !== undefined) return known;
    numbers.set(key, seen.length);
    arrivals.push([]);
    return seen.push({ state, cameFrom, by }) - 1;
  };
  for (const start of lives.starts) visit(start, -1, undefined);

  let steps = 0;
  for (let at = 0; at < seen.length; at++) {
    if (seen.length > statesMax) throw new Error(`more than ${statesMax} states`);
    const before = seen[at]!.state;
    for (const input of lives.inputs(before)) {
      steps++;
      try {
        const { state: after, effects } = lives.receive(structuredClone(before), input);
        lives.check({ before, input, after, effects });
        arrivals[visit(after, at, input)]!.push(at);
      } catch (error) {
        throw new Error(story(seen, at, input), { cause: error });
      }
    }
  }
  if (lives.mustReach) checkEndings(seen, arrivals, (state) => lives.mustReach!(state));
  return { states: seen.map((one) => one.state), steps };
}

function story<State>(seen: Seen<State>[], at: number, last: unknown): string {
  const inputs: unknown[] = last === undefined ? [] : [last];
  for (let i = at; seen[i]!.cameFrom >= 0; i = seen[i]!.cameFrom) inputs.unshift(seen[i]!.by);
  const lines = inputs.map((input, i) => `  ${i + 1}. ${JSON.stringify(input)}`);
  return `broken after:\n${lines.join('\n')}\nin state ${JSON.stringify(seen[at]!.state)}`;
}

function checkEndings<State>(seen: Seen<State>[], arrivals: number[][], ends: (state: State) => boolean) {
  const reaching = new Set<number>();
  const pending = seen.flatMap((one, i) => (ends(one.state) ? [i] : []));
  while (pending.length > 0) {
    const at = pending.pop()!;
    if (reaching.has(at)) continue;
    reaching.add(at);
    pending.push(...arrivals[at]!);
  }
  const stuck = seen.findIndex((_, i) => !reaching.has(i));
  if (stuck >= 0) throw new Error(`no way out: ${story(seen, stuck, undefined)}`);
}
