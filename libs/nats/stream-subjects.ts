// Which subjects of a stream have records, and how far it reaches, as its leader knows it: a copy that lags behind still shows what was
// removed.
//
// Fails: undefined when the leader does not answer.
import { callApi } from './api.ts';
import type { Link } from './link.ts';

const WAIT_MS = 5000;

export interface StreamSubjects {
  subjects: ReadonlySet<string>;
  /** Of the whole stream: what has a higher sequence the leader may not know yet. */
  lastSequence: number;
}

interface SubjectsPage {
  state: { last_seq: number; subjects?: Record<string, number> };
  total?: number;
}

/** `filter`: a subject, which may have wildcards. */
export async function subjectsAtLeader(
  link: Pick<Link, 'request'>,
  stream: string,
  filter: string,
): Promise<StreamSubjects | undefined> {
  const subjects = new Set<string>();
  let lastSequence = Number.POSITIVE_INFINITY;
  for (let offset = 0, total = 1; offset < total; ) {
    const request = { subjects_filter: filter, offset };
    const page = await callApi<SubjectsPage>(link, `STREAM.INFO.${stream}`, request, WAIT_MS);
    if (page.kind !== 'ok') return undefined;
    const { state, total: all = 0 } = page.value;
    const names = Object.keys(state.subjects ?? {});
    for (const name of names) subjects.add(name);
    lastSequence = Math.min(lastSequence, state.last_seq);
    total = names.length === 0 ? 0 : all;
    offset += names.length;
  }
  return { subjects, lastSequence };
}

/** How far the stream reaches at its leader, and what time it is there, milliseconds since 1970. */
export async function reachAtLeader(
  link: Pick<Link, 'request'>,
  stream: string,
): Promise<{ lastSequence: number; nowMs: number } | undefined> {
  const info = await callApi<SubjectsPage & { ts: string }>(
    link,
    `STREAM.INFO.${stream}`,
    undefined,
    WAIT_MS,
  );
  if (info.kind !== 'ok') return undefined;
  return { lastSequence: info.value.state.last_seq, nowMs: Date.parse(info.value.ts) };
}
