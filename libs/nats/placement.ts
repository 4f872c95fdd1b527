// Who owns what, computed by everybody alike from the list of live instances: rendezvous hashing, so that an instance
// that comes or goes moves only its own share. Pure.
import { hash32 } from '#libs/mail/hash.ts';

/** The instance that owns `key`; undefined when there is none. The order of `instances` does not matter. */
export function ownerOf(key: string, instances: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestWeight = -1;
  for (const instance of instances) {
    const weight = hash32(`${instance} ${key}`);
    const wins = weight > bestWeight || (weight === bestWeight && instance < best!);
    if (!wins) continue;
    best = instance;
    bestWeight = weight;
  }
  return best;
}

/** The shard of a site, from 0 to `shards` - 1. */
export function shardOf(siteKey: string, shards: number): number {
  return hash32(siteKey) % shards;
}
