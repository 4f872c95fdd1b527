// Commands that runbooks tell somebody at 3 am to type: those of `postrider` are tried on its command line, as far as its
// arguments; metrics, settings and other alerts that a page names are there.
import { describe, expect, test } from '@jest/globals';
import { configSchema } from '#libs/config/schema.ts';
import { run } from '../../services/console/command-line.ts';
import { alerts, runbooks, runbookText } from './shipped.ts';

/** Nobody listens there. */
const NOWHERE = { POSTRIDER_ADMIN: '127.0.0.1:1', POSTRIDER_JAEGER: 'http://127.0.0.1:1' };

/** In place of every word that stands for another. */
const QUEUE_ID = '0a0mwvv09us352fu0001';

const pages = [...runbooks(), 'README'].map((page) => [page, runbookText(page)] as const);

const blocksOf = (text: string): string[] =>
  [...text.matchAll(/```\n([\s\S]*?)```/g)].map((match) => match[1]!);

/** Arguments of every `postrider` in a block of commands; what stands for something else has one word in its place. */
function commandsOf(text: string): string[][] {
  const lines = blocksOf(text).flatMap((block) => block.split('\n'));
  const found = lines.map((line) => /-- postrider (.*?)(?:\s+#.*)?$/.exec(line)?.[1]);
  return found
    .filter((command) => command !== undefined)
    .map((command) =>
      command
        .replace(/https?:\/\/\S+/g, 'http://127.0.0.1:1')
        .replace(/<[^>]+>/g, QUEUE_ID)
        .split(/\s+/),
    );
}

describe('In a runbook', () => {
  test('there are commands of postrider', () => {
    expect(pages.flatMap(([, text]) => commandsOf(text)).length).toBeGreaterThan(13);
  });

  test.each(
    pages.flatMap(([page, text]) => commandsOf(text).map((args) => [page, args.join(' '), args] as const)),
  )(
    '%s, `postrider %s` is understood',
    async (_page, _line, args) => {
      let said = '';
      const hear = (text: string) => {
        said += text;
      };
      await run(['node', 'postrider', ...args], { env: NOWHERE, out: hear, err: hear, now: Date.now });
      // It got as far as asking.
      expect(said).toMatch(/^postrider: .*127\.0\.0\.1:1/);
    },
    30_000,
  );

  test.each(pages)(
    '%s, commands need nothing but kubectl, helm and postrider: pods have no shell',
    (_page, text) => {
      const lines = blocksOf(text).flatMap((block) => block.split('\n').filter((line) => line !== ''));
      expect(lines.filter((line) => !/^(kubectl|helm) /.test(line))).toEqual([]);
      expect(lines.filter((line) => /^kubectl exec/.test(line) && !/ -- postrider /.test(line))).toEqual([]);
    },
  );

  test.each(pages)('%s, alerts that are named are there', (_page, text) => {
    const named = [...text.matchAll(/\bPostrider[A-Z]\w+/g)].map(([name]) => name);
    const known = alerts().map(({ alert }) => alert);
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });

  test.each(pages)('%s, settings that are named are there', (_page, text) => {
    const sections = Object.keys(configSchema.shape).join('|');
    const named = [...text.matchAll(new RegExp(`\`((?:${sections})\\.[a-zA-Z.]+)`, 'g'))].map(
      (match) => match[1]!,
    );
    const defaults = configSchema.parse({}) as Record<string, unknown>;
    const optional = ['nats.tls.ca'];
    const missing = named.filter((path) => !optional.includes(path) && !has(defaults, path.split('.')));
    expect(missing).toEqual([]);
  });
});

function has(value: unknown, path: readonly string[]): boolean {
  const [key, ...rest] = path;
  if (key === undefined) return true;
  return typeof value === 'object' && value !== null && key in value && has(Reflect.get(value, key), rest);
}
