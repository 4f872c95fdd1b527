// Shares out the connections that the worker may have open at the same time among its sites. Never dials, never reads a
// clock. Mutates its state in place.
//
// A site that could use a connection and finds no room stands in one of two lines: `hungry` while it has less than its
// share (the limit divided by the sites that have or want connections, at least one), `patient` otherwise. Idle connections
// are closed first to make room for the hungry, then such that are being opened by sites that have more than their share;
// then connections that had their turn make room by themselves (`crowded`).
//
// Invariants:
//  B1  `next` never lets a site open a connection while as many as the limit are open, those that say goodbye included.
//  B2  No more connections are asked for than the hungry need beyond those that are on their way out.
//  B3  Each line is served in its order, the hungry first.

/** What one site has, and could use. */
export interface SiteNeed {
  /** Connections that are open or being opened, those that say goodbye included. */
  open: number;
  leaving: number;
  idle: number;
  opening: number;
  /** Connections more that it could use and its own limits allow. */
  wanted: number;
}

export interface BudgetState {
  readonly max: number;
  open: number;
  leaving: number;
  needs: Map<string, SiteNeed>;
  hungry: Set<string>;
  patient: Set<string>;
  /** Sites with idle connections; whose were idle first stand first. */
  idle: Set<string>;
  opening: Set<string>;
}

export type BudgetStep =
  /** The site may open one connection. */
  | { kind: 'open'; site: string }
  /** The site is asked to give one up. */
  | { kind: 'ask'; site: string };

const NOTHING: SiteNeed = { open: 0, leaving: 0, idle: 0, opening: 0, wanted: 0 };

export function newBudget(max: number): BudgetState {
  return {
    max,
    open: 0,
    leaving: 0,
    needs: new Map(),
    hungry: new Set(),
    patient: new Set(),
    idle: new Set(),
    opening: new Set(),
  };
}

/** Connections that may be opened now. */
export function roomOf(state: BudgetState): number {
  return Math.max(0, state.max - state.open);
}

/** True when a connection of the site that had its turn should make room for others. */
export function isCrowded(state: BudgetState, site: string): boolean {
  if (state.hungry.size <= state.leaving) return false;
  const open = state.needs.get(site)?.open ?? 0;
  return state.max < state.needs.size || open > shareOf(state);
}

/** Connections of one site that nobody may call too many. */
export function shareOf(state: BudgetState): number {
  return Math.max(1, Math.floor(state.max / Math.max(1, state.needs.size)));
}

/** What a site has and could use has changed. Returns true when it found no room for what it could use. */
export function update(state: BudgetState, site: string, need: SiteNeed): boolean {
  const before = state.needs.get(site) ?? NOTHING;
  state.open += need.open - before.open;
  state.leaving += need.leaving - before.leaving;
  if (need.open === 0 && need.wanted === 0) state.needs.delete(site);
  else state.needs.set(site, need);
  mark(state.opening, site, need.opening > 0);
  if (need.idle !== before.idle) state.idle.delete(site);
  mark(state.idle, site, need.idle > 0);
  const isHungry = need.wanted > 0 && need.open < shareOf(state);
  mark(state.hungry, site, isHungry);
  mark(state.patient, site, need.wanted > 0 && !isHungry);
  return need.wanted > 0 && roomOf(state) === 0;
}

/** What is to be done next; the site's need is told by `update` before this is asked again. */
export function next(state: BudgetState): BudgetStep | undefined {
  if (roomOf(state) > 0) {
    const site = first(state.hungry) ?? first(state.patient);
    if (site === undefined) return undefined;
    // Who wants more stands at the end of the line again (B3).
    state.hungry.delete(site);
    state.patient.delete(site);
    return { kind: 'open', site };
  }
  if (state.hungry.size <= state.leaving) return undefined;
  const site = first(state.idle) ?? greedyOpener(state);
  return site === undefined ? undefined : { kind: 'ask', site };
}

/** A site with more than its share that is opening yet another one: perhaps of a host that does not answer. */
function greedyOpener(state: BudgetState): string | undefined {
  const share = shareOf(state);
  for (const site of state.opening) if (state.needs.get(site)!.open > share) return site;
  return undefined;
}

function mark(set: Set<string>, site: string, isIn: boolean): void {
  if (isIn) set.add(site);
  else set.delete(site);
}

function first(set: ReadonlySet<string>): string | undefined {
  for (const one of set) return one;
  return undefined;
}
