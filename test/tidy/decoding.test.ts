// What comes in over NATS is read in one place, libs/nats/decoding.ts: a message that nobody can read must end no process.
import { describe, expect, test } from '@jest/globals';
import { linesThatMatch, sourceFiles } from './tree.ts';

/** Read what is stored, each behind a guard of its own: a record that cannot be read is trouble of its partition. */
const READERS_OF_RECORDS = [
  'libs/pack/pack.ts',
  'services/queue/state-record.ts',
  'services/queue/takeover.ts',
];

describe('Messages of NATS', () => {
  test('are read by nothing but libs/nats/decoding.ts', () => {
    const ours = sourceFiles().filter(
      (path) => /^(services|libs)\//.test(path) && !path.endsWith('.test.ts'),
    );
    const readers = ours.filter((path) => !READERS_OF_RECORDS.includes(path));
    expect(linesThatMatch(readers, /\b[A-Z]\w*\.decode\(/)).toEqual([]);
    expect(linesThatMatch(READERS_OF_RECORDS, /\.decode\(/).length).toBeGreaterThan(0);
  });
});
