// What is shipped to watch Postrider: rules with alerts, their runbooks, the dashboard. Read from the files that the chart
// and deploy/compose use.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
export const RUNBOOKS = 'deploy/runbooks';
const ALERTS = 'deploy/helm/postrider/files/alerts';
const DASHBOARDS = 'deploy/helm/postrider/files/dashboards';
const RULE_TESTS = 'test/monitoring/rules';

export interface Alert {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}

export interface Recording {
  record: string;
  expr: string;
}

interface RuleFile {
  groups: { name: string; rules: (Alert | Recording)[] }[];
}

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  description?: string;
  fieldConfig?: { defaults: { unit?: string } };
  targets?: { expr: string; legendFormat?: string }[];
}

export interface Dashboard {
  uid: string;
  panels: Panel[];
  templating: { list: { name: string; type: string; definition?: string }[] };
}

/** One line of a panel. */
export interface PanelQuery {
  panel: string;
  expr: string;
}

export interface RuleTest {
  name: string;
  alert_rule_test?: { alertname: string; exp_alerts: unknown[] }[];
}

function filesIn(folder: string, end: string): string[] {
  const names = readdirSync(join(ROOT, folder)).filter((name) => name.endsWith(end));
  return names.sort().map((name) => join(ROOT, folder, name));
}

const textOf = (file: string): string => readFileSync(file, 'utf8');

export const ruleFiles = (): string[] => filesIn(ALERTS, '.yaml');
export const ruleTestFiles = (): string[] => filesIn(RULE_TESTS, '.yaml');

function rules(): (Alert | Recording)[] {
  const files = ruleFiles().map((file) => parse(textOf(file)) as RuleFile);
  return files.flatMap(({ groups }) => groups.flatMap((group) => group.rules));
}

export const alerts = (): Alert[] => rules().filter((rule) => 'alert' in rule);
export const recordings = (): Recording[] => rules().filter((rule) => 'record' in rule);

export function ruleTests(): RuleTest[] {
  return ruleTestFiles().flatMap((file) => (parse(textOf(file)) as { tests: RuleTest[] }).tests);
}

/** Names of the pages, which are those of alerts. */
export function runbooks(): string[] {
  const pages = filesIn(RUNBOOKS, '.md').map((file) => file.slice(file.lastIndexOf('/') + 1, -'.md'.length));
  return pages.filter((page) => page !== 'README');
}

export const runbookText = (page: string): string => textOf(join(ROOT, RUNBOOKS, `${page}.md`));

export function dashboards(): Dashboard[] {
  return filesIn(DASHBOARDS, '.json').map((file) => JSON.parse(textOf(file)) as Dashboard);
}

/** Panels that show something: no headings. */
export const shownPanels = (dashboard: Dashboard): Panel[] =>
  dashboard.panels.filter(({ type }) => type !== 'row');

/** Every query of a dashboard with its variables filled in as Grafana does when all is chosen. */
export function queriesOf(dashboard: Dashboard): PanelQuery[] {
  return shownPanels(dashboard).flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: title,
      expr: expr.replaceAll('$__rate_interval', '1m').replace(/\$(namespace|job)\b/g, '.*'),
    })),
  );
}
