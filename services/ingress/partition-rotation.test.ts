import { describe, expect, test } from '@jest/globals';
import { PartitionRotation } from './partition-rotation.ts';

function over(rotation: PartitionRotation, times: number[]): number[] {
  return times.map((nowMs) => rotation.partitionAt(nowMs));
}

describe('The partition of a pack', () => {
  test('stays for half a second, then is the next of its stream, round and round', () => {
    const rotation = new PartitionRotation({ partitions: 8, spoolStreams: 3, stream: 1, start: 0 });
    expect(over(rotation, [1000, 1499, 1500, 1999, 2000, 2500])).toEqual([1, 1, 4, 4, 7, 1]);
  });

  test('does not leap after a quiet time', () => {
    const rotation = new PartitionRotation({ partitions: 4, spoolStreams: 1, stream: 0, start: 0 });
    expect(over(rotation, [0, 60_000, 60_499, 60_500])).toEqual([0, 1, 1, 2]);
  });

  test('begins anywhere, and is always one of its stream', () => {
    for (const [partitions, spoolStreams] of [
      [32, 1],
      [8, 3],
      [7, 3],
      [3, 3],
    ] as const) {
      for (let stream = 0; stream < spoolStreams; stream++) {
        const seen = new Set<number>();
        for (const start of [0, 0.5, 0.999]) {
          const rotation = new PartitionRotation({ partitions, spoolStreams, stream, start });
          for (let i = 0; i < partitions; i++) seen.add(rotation.partitionAt(i * 500));
        }
        const own = Array.from({ length: partitions }, (_, p) => p).filter(
          (p) => p % spoolStreams === stream,
        );
        expect([...seen].sort((a, b) => a - b)).toEqual(own);
      }
    }
  });
});
