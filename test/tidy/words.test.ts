// Names and words that say too little, or that something is not finished.
import { describe, expect, test } from '@jest/globals';
import { allFiles, linesThatMatch, sourceFiles } from './tree.ts';

const VAGUE = new Set(['utils', 'util', 'common', 'helpers', 'helper', 'shared', 'core', 'misc', 'types']);

describe('No folder and no file', () => {
  test('has a name that could hold anything', () => {
    const isVague = (path: string) => path.split('/').some((part) => VAGUE.has(part.split('.')[0]!));
    expect(allFiles().filter(isVague)).toEqual([]);
  });
});

describe('Nothing', () => {
  test('is left for later', () => {
    const paths = allFiles().filter((path) => /\.(ts|mts|mjs|cjs|md|proto|ya?ml|json)$/.test(path));
    const checked = paths.filter((path) => path !== 'package-lock.json');
    // Written so that this line is not one of them.
    expect(linesThatMatch(checked, /\b(TO[D]O|FIX[M]E|XX[X])\b/)).toEqual([]);
  });

  test('is skipped or tested alone', () => {
    const tests = sourceFiles().filter((path) => path.endsWith('.test.ts'));
    expect(linesThatMatch(tests, /\b(test|describe|it)\.(skip|only|todo|failing)\b/)).toEqual([]);
  });

  test('is hidden from the type checker', () => {
    expect(
      linesThatMatch(sourceFiles(), /@ts-(ignor[e]|nochec[k]|expect-erro[r])|: an[y]\b|\bas an[y]\b/),
    ).toEqual([]);
  });
});
