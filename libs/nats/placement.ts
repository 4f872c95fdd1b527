// Who owns what, computed by everybody alike from the list of live instances: rendezvous hashing, so that an instance
// that comes or goes moves only its own share. Pure.

/** The instance that owns `key`; undefined when there is none. The order of `instances` does not matter. */
export function ownerOf(key: string, instances: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestWeight = -1;
  for (const instance of instances) {
    const weight = hash(`${instance} ${key}`);
    const wins = weight > bestWeight || (weight === bestWeight && instance < best!);
    if (!wins) continue;
    best = instance;
    bestWeight = weight;
  }
  return best;
}

/** The shard of a site, from 0 to `shards` - 1. */
export function shardOf(siteKey: string, shards: number): number {
  return hash(siteKey) % shards;
}

/** FNV-1a with a final mix (murmur3's), so that names that differ in one character are far apart; 32 bits. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
