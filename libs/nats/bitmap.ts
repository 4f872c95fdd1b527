// Sets of small numbers as bits, as they travel in heartbeats: bit i of octet i >> 3. Pure.

/** The bitmap of `set`, whose members are from 0 to `size` - 1. */
export function bitmapOf(set: readonly number[], size: number): Uint8Array {
  const bitmap = new Uint8Array((size + 7) >> 3);
  for (const i of set) bitmap[i >> 3]! |= 1 << (i & 7);
  return bitmap;
}

/** True when `i` is in the set; what lies beyond the bitmap is not. */
export function holdsBit(bitmap: Uint8Array, i: number): boolean {
  return ((bitmap[i >> 3] ?? 0) & (1 << (i & 7))) !== 0;
}
