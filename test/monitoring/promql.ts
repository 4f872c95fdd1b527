// Which metrics and labels an expression of Prometheus names. Not a parser: promtool and Prometheus check the syntax; this
// only takes away what is neither.

/** A metric of an expression, with the labels that are asked of it. */
export interface Selector {
  metric: string;
  labels: string[];
}

const WORDS = new Set([
  'and',
  'or',
  'unless',
  'by',
  'without',
  'on',
  'ignoring',
  'offset',
  'bool',
  'inf',
  'nan',
]);
const GROUPING = /\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const SELECTOR = /([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?(?!\s*\(|[a-zA-Z0-9_:])/g;

function withoutStrings(expr: string): string {
  return expr.replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/g, '""');
}

/** Every metric that `expr` reads. */
export function selectorsOf(expr: string): Selector[] {
  const rest = withoutStrings(expr)
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\boffset\s+\S+/g, ' ')
    .replace(GROUPING, ' ')
    .replace(/\b\d[\w.]*/g, ' ');
  const found: Selector[] = [];
  for (const [, metric = '', matchers = ''] of rest.matchAll(SELECTOR)) {
    if (WORDS.has(metric.toLowerCase()) || metric.startsWith('group_')) continue;
    const labels = [...matchers.matchAll(/([a-zA-Z_]\w*)\s*[=!]/g)].map((match) => match[1]!);
    found.push({ metric, labels });
  }
  return found;
}

/** Labels that `expr` groups or joins by. */
export function groupingOf(expr: string): string[] {
  const lists = [...withoutStrings(expr).matchAll(GROUPING)].map((match) => match[2]!);
  const labels = lists.flatMap((list) => list.split(',').map((label) => label.trim()));
  return [...new Set(labels.filter((label) => label !== ''))];
}
