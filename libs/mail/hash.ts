// A hash for placing and spreading. Not for secrets. Pure.

/**
 * 32 bits, unsigned: FNV-1a with the final mix of murmur3, so that texts that differ in one character are far apart. The
 * same for ever and everywhere: instances that compute it must agree.
 */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
