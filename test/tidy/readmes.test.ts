// A folder says what it is for, and no page points at what is not there.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { allFiles, ROOT, textOf } from './tree.ts';

/** Folders directly under libs and services. */
function folders(): string[] {
  const found = allFiles().map((path) => /^(libs|services)\/[^/]+(?=\/)/.exec(path)?.[0]);
  return [...new Set(found.filter((folder) => folder !== undefined))];
}

/** Targets of links in a page that are files here: no URL, no place within the page. */
function fileLinks(page: string): string[] {
  const text = textOf(page).replace(/```[\s\S]*?```/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!)
    .filter((target) => !/^([a-z]+:|#)/.test(target))
    .map((target) => target.split('#')[0]!);
}

describe('Every library and every service', () => {
  test('has a README', () => {
    expect(folders().length).toBeGreaterThan(5);
    expect(folders().filter((folder) => !existsSync(join(ROOT, folder, 'README.md')))).toEqual([]);
  });
});

describe('Every link in a page', () => {
  test('leads to a file that is there', () => {
    const pages = allFiles().filter((path) => path.endsWith('.md'));
    const broken = pages.flatMap((page) =>
      fileLinks(page)
        .filter((target) => !existsSync(join(ROOT, dirname(page), target)))
        .map((target) => `${page}: ${target}`),
    );
    expect(broken).toEqual([]);
  });
});
