// The programs run in a folder that has nothing but them: whatever they import must be there.
import { describe, expect, test } from '@jest/globals';
import { podPrograms } from './pod-programs.ts';

describe('The programs for pods', () => {
  test('import nothing but each other and Node itself', () => {
    const programs = podPrograms();
    const imports = Object.entries(programs).flatMap(([file, text]) => {
      const values = text.replace(/\bimport type [^;]*;/g, '');
      return [...values.matchAll(/\bfrom '([^']+)'/g)].map((match) => ({ file, from: match[1]! }));
    });
    expect(imports.length).toBeGreaterThan(8);
    const strangers = imports.filter(
      ({ from }) => !from.startsWith('node:') && !Object.hasOwn(programs, from.replace(/^\.\//, '')),
    );
    expect(strangers).toEqual([]);
  });
});
