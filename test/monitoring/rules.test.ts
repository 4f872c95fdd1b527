// Rules, runbooks and the dashboard as files: each alert is tried by promtool, has a page, and says what it must.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { promtool } from './programs.ts';
import {
  alerts,
  dashboards,
  ROOT,
  RUNBOOKS,
  recordings,
  ruleFiles,
  ruleTestFiles,
  ruleTests,
  runbooks,
  runbookText,
  shownPanels,
} from './shipped.ts';

const names = (): string[] => alerts().map(({ alert }) => alert);

/** Of promtool, on a machine that is busy. */
const WITHIN_MS = 60_000;
/** Of Grafana's grid. */
const GRID_COLUMNS = 24;

describe('promtool', () => {
  test(
    'finds no fault in the rules',
    async () => {
      expect(ruleFiles().length).toBeGreaterThanOrEqual(3);
      const { ok, output } = await promtool('check', 'rules', '--lint-fatal', ...ruleFiles());
      expect({ ok, output: ok ? '' : output }).toEqual({ ok: true, output: '' });
    },
    WITHIN_MS,
  );

  test(
    'sees each alert fire when it should, and not when it should not',
    async () => {
      const { ok, output } = await promtool('test', 'rules', ...ruleTestFiles());
      expect({ ok, output: ok ? '' : output }).toEqual({ ok: true, output: '' });
    },
    WITHIN_MS,
  );
});

describe('Every alert', () => {
  test('is seen to fire', () => {
    const seen = ruleTests().flatMap((one) =>
      (one.alert_rule_test ?? []).filter(({ exp_alerts }) => exp_alerts.length > 0),
    );
    expect([...new Set(seen.map(({ alertname }) => alertname))].sort()).toEqual(names().sort());
  });

  test('has a name of ours that no other has', () => {
    expect(names().filter((name) => !/^Postrider[A-Z]\w+$/.test(name))).toEqual([]);
    expect(new Set(names()).size).toBe(names().length);
  });

  test.each(alerts().map((alert) => [alert.alert, alert] as const))('%s says what it must', (name, alert) => {
    expect(['warning', 'critical']).toContain(alert.labels.severity);
    expect(alert.annotations.summary).toMatch(/^[^{].*\.$/);
    expect(alert.annotations.description).toContain('$value');
    expect(alert.annotations.runbook_url).toBe(`${RUNBOOKS}/${name}.md`);
  });
});

describe('Every runbook', () => {
  test('is that of an alert, and every alert has one', () => {
    expect(runbooks().sort()).toEqual(names().sort());
  });

  test.each(alerts().map((alert) => [alert.alert, alert] as const))('%s helps', (name, { labels }) => {
    const text = runbookText(name);
    const headings = [...text.matchAll(/^#+ .*$/gm)].map(([heading]) => heading);
    expect(headings).toEqual([
      `# ${name}`,
      '## What it means',
      '## What users see',
      '## First commands',
      '## Causes and repair',
    ]);
    expect(text).toContain(`Severity: ${labels.severity}.`);
    expect(text).toMatch(/^kubectl /m);
  });

  test('is in the index', () => {
    const index = readFileSync(join(ROOT, RUNBOOKS, 'README.md'), 'utf8');
    expect(names().filter((name) => !index.includes(`[${name}](${name}.md)`))).toEqual([]);
  });
});

describe('Recordings', () => {
  test('are named as Prometheus wants: level, metric, operation', () => {
    expect(recordings().filter(({ record }) => !/^postrider:\w+:\w+$/.test(record))).toEqual([]);
  });
});

describe('The dashboard', () => {
  const [dashboard] = dashboards();

  test('has a description and a unit in every panel, and a title that no other has', () => {
    const panels = shownPanels(dashboard!);
    expect(panels.length).toBeGreaterThan(30);
    const bare = panels.filter((one) => !one.description?.endsWith('.') || !one.fieldConfig?.defaults.unit);
    expect(bare.map(({ title }) => title)).toEqual([]);
    expect(new Set(panels.map(({ title }) => title)).size).toBe(panels.length);
    expect(new Set(dashboard!.panels.map(({ id }) => id)).size).toBe(dashboard!.panels.length);
  });

  test('lets its source of data, the namespace and the job be chosen, and every query obeys', () => {
    const variables = dashboard!.templating.list.map(({ name }) => name);
    expect(variables).toEqual(['datasource', 'namespace', 'job']);
    const exprs = shownPanels(dashboard!).flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const unfiltered = exprs.filter((expr) => !expr.includes('namespace=~"$namespace", job=~"$job"'));
    expect(unfiltered).toEqual([]);
  });

  test('has every panel in a place of its own', () => {
    const taken = new Map<string, string>();
    for (const { title, gridPos } of dashboard!.panels) {
      expect([title, gridPos.x + gridPos.w <= GRID_COLUMNS]).toEqual([title, true]);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect([title, taken.get(`${x} ${y}`)]).toEqual([title, undefined]);
          taken.set(`${x} ${y}`, title);
        }
      }
    }
  });

  test('stands where the chart looks for it', () => {
    expect(existsSync(join(ROOT, 'deploy/helm/postrider/files/dashboards/postrider.json'))).toBe(true);
  });
});
