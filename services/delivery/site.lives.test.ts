import { describe, expect, test } from '@jest/globals';
import { walkLives } from '#kit/lives.ts';
import type { Reply } from '#proto/postrider/v1/mail.ts';
import {
  newSite,
  ROOM_FOR_ALL,
  receive,
  type SiteEffect,
  type SiteInput,
  type SitePolicy,
  type SiteRoom,
  type SiteState,
} from './site.machine.ts';
import { waitingCount, wanted } from './site-standing.ts';

interface Job {
  name: string;
  startByMs: number;
}

interface Watched {
  site: SiteState<Job>;
  nowMs: number;
  /** Jobs that arrived and where each is: waiting, carried by a connection, or back. */
  jobs: Record<string, 'waiting' | 'back' | `by ${number}`>;
}

const POLICY: SitePolicy = {
  connectionsMax: 2,
  connectionMailsMax: 2,
  connectionIdleMaxMs: 1,
  backoffMinMs: 4000,
  backoffMaxMs: 8000,
};
const REASON: Reply = { code: 421, enhanced: '', text: 'busy', host: 'mx' };
/** Moments that matter: grace over, start_by over, backoffs over. */
const MOMENTS = [0, 2000, 4000, 8000];
const NAMES = ['a', 'b', 'c'];

/** What the worker lets the site do at that time. */
const FULL: SiteRoom = { connections: 0, crowded: true };

interface Fed {
  input: SiteInput<Job>;
  room: SiteRoom;
}

function fedOf(watched: Watched): Fed[] {
  return inputsOf(watched).flatMap((input) => [ROOM_FOR_ALL, FULL].map((room) => ({ input, room })));
}

function inputsOf({ site, nowMs, jobs }: Watched): SiteInput<Job>[] {
  const inputs: SiteInput<Job>[] = [{ kind: 'drained' }, { kind: 'swept', nowMs }, { kind: 'asked' }];
  if (site.leaving > 0) inputs.push({ kind: 'left', nowMs });
  if (waitingCount(site) > 0) inputs.push({ kind: 'roomy', nowMs });
  for (const job of site.waiting.slice(site.head)) inputs.push({ kind: 'cancelled', job });
  const later = MOMENTS.find((moment) => moment > nowMs);
  if (later !== undefined) inputs.push({ kind: 'swept', nowMs: later });
  const fresh = NAMES.filter((name) => jobs[name] === undefined);
  const startByMs = 6000;
  if (fresh.length > 0) inputs.push({ kind: 'arrived', jobs: [{ name: fresh[0]!, startByMs }], nowMs });
  if (fresh.length > 1) {
    inputs.push({ kind: 'arrived', jobs: fresh.slice(0, 2).map((name) => ({ name, startByMs })), nowMs });
  }
  for (const [id, connection] of site.connections) {
    inputs.push({ kind: 'down', connection: id, reason: REASON, jitter: 0.5, nowMs });
    if (connection.status === 'opening') inputs.push({ kind: 'ready', connection: id, nowMs });
    if (connection.status === 'idle') inputs.push({ kind: 'closed', connection: id, nowMs });
    if (connection.status !== 'busy') continue;
    inputs.push({ kind: 'closed', connection: id, nowMs });
    inputs.push({ kind: 'finished', connection: id, connectionIs: 'reusable', nowMs });
    inputs.push({ kind: 'finished', connection: id, connectionIs: 'spent', nowMs });
    const name = NAMES.find((one) => jobs[one] === `by ${id}`)!;
    inputs.push({ kind: 'stale', connection: id, job: { name, startByMs }, nowMs });
  }
  return inputs;
}

function follow(watched: Watched, input: SiteInput<Job>, effects: SiteEffect<Job>[]): void {
  const { jobs } = watched;
  if (input.kind === 'arrived') for (const { name } of input.jobs) jobs[name] = 'waiting';
  if ('connection' in input && input.kind !== 'ready') {
    const name = NAMES.find((one) => jobs[one] === `by ${input.connection}`);
    if (name !== undefined) jobs[name] = input.kind === 'stale' ? 'waiting' : 'back';
  }
  for (const effect of effects) {
    if (effect.kind === 'carry') {
      expect(jobs[effect.job.name]).toBe('waiting');
      expect(effect.job.startByMs).toBeGreaterThanOrEqual(watched.nowMs);
      jobs[effect.job.name] = `by ${effect.connection}`;
    }
    if (effect.kind === 'giveBack') {
      for (const { name } of effect.jobs) {
        expect(jobs[name]).toBe('waiting');
        jobs[name] = 'back';
      }
    }
  }
}

function checkRest({ site, jobs }: Watched): void {
  const byStatus = (status: string) => [...site.connections].filter(([, one]) => one.status === status);
  const waiting = site.waiting.slice(site.head).map((one) => one.name);
  // S2: every job is where the machine thinks it is.
  expect(waiting.sort()).toEqual(NAMES.filter((name) => jobs[name] === 'waiting'));
  const carried = Object.values(jobs).filter((place) => place.startsWith('by '));
  expect(carried.sort()).toEqual(
    byStatus('busy')
      .map(([id]) => `by ${id}`)
      .sort(),
  );
  expect(site.opening).toBe(byStatus('opening').length);
  expect([...site.idle].sort()).toEqual(
    byStatus('idle')
      .map(([id]) => id)
      .sort(),
  );
  // S1
  const max = { open: POLICY.connectionsMax, probing: 1, suspended: 0 }[site.phase.name];
  expect(site.connections.size).toBeLessThanOrEqual(max);
  expect(site.connections.size + site.leaving).toBeLessThanOrEqual(POLICY.connectionsMax);
  // S5, S6
  if (site.phase.name === 'suspended') expect(waitingCount(site)).toBe(0);
  if (site.idle.length > 0) expect(waitingCount(site)).toBe(0);
  // Nothing waits without somebody who comes for it: a connection, or room that the worker will have.
  if (waiting.length > 0) {
    expect(site.connections.size + site.leaving + wanted(site)).toBeGreaterThan(0);
  }
}

describe('every life of a site', () => {
  test('keeps each job in one place, each limit, and tells owners of each change', () => {
    const walked = walkLives<Watched, Fed, SiteEffect<Job>[]>({
      starts: [{ site: newSite<Job>(POLICY), nowMs: 0, jobs: {} }],
      inputs: fedOf,
      receive: (state, { input, room }) => {
        if ('nowMs' in input) state.nowMs = input.nowMs;
        // The job is meant, not its copy.
        const own = 'job' in input && state.site.waiting.find(({ name }) => name === input.job.name);
        const meant = input.kind === 'cancelled' && own ? { ...input, job: own } : input;
        const effects = receive(state.site, meant, POLICY, room);
        follow(state, input, effects);
        return { state, effects };
      },
      key: ({ site, nowMs, jobs }) => {
        // Numbers of connections mean nothing: only their order does.
        const ids = [...site.connections.keys()];
        const connections = [...site.connections.values()].map((one) => [
          one.status,
          Math.min(one.mails, 2),
          one.idleSinceMs,
        ]);
        const places = NAMES.map((name) => jobs[name]?.replace(/\d+/, (id) => `${ids.indexOf(Number(id))}`));
        const phase =
          site.phase.name === 'open' ? 'open' : { ...site.phase, downs: Math.min(site.phase.downs, 2) };
        return JSON.stringify([
          phase,
          nowMs,
          connections,
          site.idle.map((id) => ids.indexOf(id)),
          places,
          site.ceiling,
          site.leaving,
        ]);
      },
      check: ({ before, after, effects }) => {
        checkRest(after);
        const kindOf = (watched: Watched) => (watched.site.phase.name === 'open' ? 'open' : 'not open');
        const told = effects.some((effect) => effect.kind === 'tell');
        if (kindOf(before) !== kindOf(after)) expect(told).toBe(true);
        if (after.site.phase.name === 'suspended' && before.site.phase.name === 'probing')
          expect(told).toBe(true);
      },
      mustReach: ({ site }) => site.connections.size === 0 && waitingCount(site) === 0,
    });
    expect(walked.states.length).toBeGreaterThan(1000);
  }, 120_000);
});
