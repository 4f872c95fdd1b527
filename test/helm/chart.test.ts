// The chart as Helm and our own services see it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { parse } from 'yaml';
import { parseConfig } from '#libs/config/load.ts';
import { CHART, lint, type Manifest, template } from './helm.ts';
import { matrix, ofKind } from './matrix.ts';

jest.setTimeout(60_000);

type ConfigMap = Manifest & { data?: Record<string, string> };

describe('The chart', () => {
  test.each(matrix)('passes helm lint --strict with %s', async (file) => {
    const { code, out, err } = await lint(file);
    expect([code, err, out]).toEqual([
      0,
      '',
      expect.stringContaining('1 chart(s) linted, 0 chart(s) failed'),
    ]);
  });

  test.each(matrix)('writes a postrider.yaml that services take, with %s', async (file) => {
    const maps = await ofKind<ConfigMap>(file, 'ConfigMap');
    const texts = maps.map(({ data }) => data?.['postrider.yaml']).filter((text) => text !== undefined);
    expect(texts).toHaveLength(1);
    expect(() => parseConfig('postrider.yaml', texts[0]!)).not.toThrow();
  });

  test('takes the values that its README shows', async () => {
    const page = readFileSync(join(CHART, 'README.md'), 'utf8');
    const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1]!);
    expect(examples.length).toBeGreaterThanOrEqual(2);
    for (const text of examples) {
      const { code, err } = await template(parse(text) as Record<string, unknown>);
      expect([code, err]).toEqual([0, '']);
    }
  });
});
