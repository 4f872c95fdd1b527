// Reads Prometheus endpoints of a test cluster.

/** Sum of a metric's samples over all labels, from the text of an endpoint; undefined when it is not there. */
export function sumOfMetric(text: string, name: string): number | undefined {
  let total: number | undefined;
  for (const line of text.split('\n')) {
    if (!line.startsWith(name)) continue;
    const after = line[name.length];
    if (after !== ' ' && after !== '{') continue;
    const value = /(?:\}|^[^{\s]+)\s+(\S+)/.exec(line)?.[1];
    if (value !== undefined) total = (total ?? 0) + Number(value);
  }
  return total;
}

/** The same, of the endpoint at `url`; undefined when nobody answers there. */
export async function readMetric(url: string, name: string): Promise<number | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    return sumOfMetric(await answer.text(), name);
  } catch {
    return undefined;
  }
}
