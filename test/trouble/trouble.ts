// `npm run trouble`: what one bad or slow thing does to all others: mails accepted and delivered per second, and their latency,
// before it and while it lasts. Exit code 1 when less than 95 % are left.
import { Command } from 'commander';
import { withCodeOf } from '#kit/other-tree.ts';
import { diskFull } from './disk-full.ts';
import { evenness } from './evenness.ts';
import { packRates } from './pack-rates.ts';
import { isReached, measureTrouble, type Result, resultTable } from './trouble-run.ts';
import { TROUBLES } from './troubles.ts';

interface Options {
  only?: string;
  seconds: string;
  from?: string;
}

const say = (line: string) => console.log(line);

/** Those that have no before and after of their own. */
const OTHERS: Readonly<Record<string, (options: Options) => Promise<void>>> = {
  'disk-full': ({ seconds }) => diskFull({ seconds: Number(seconds), say }),
  evenness: ({ seconds }) => evenness({ seconds: Number(seconds), say }),
};

function parse(): Options {
  const names = [...TROUBLES.map(({ name }) => name), ...Object.keys(OTHERS)];
  return new Command('trouble')
    .description('What one bad or slow thing does to all others: figures before it, and while it lasts.')
    .option('--only <names>', `some of them, with commas between: ${names.join(', ')}`)
    .option('--seconds <n>', 'how long each span is', '20')
    .option('--from <commit>', 'services of that commit; with "packs" both are measured in turn')
    .parse()
    .opts<Options>();
}

async function measureAll({ only, seconds, from }: Options): Promise<Result[]> {
  const wanted = (name: string) => only === undefined || only.split(',').includes(name);
  const results: Result[] = [];
  await withCodeOf(from, async (root) => {
    const run = { seconds: Number(seconds), say, ...(root !== undefined && { root }) };
    for (const trouble of TROUBLES.filter(({ name }) => wanted(name))) {
      const result = await measureTrouble(trouble, run).catch((error) =>
        say(`  not measured: ${error.message}`),
      );
      if (result) results.push(result);
    }
    for (const [name, measure] of Object.entries(OTHERS)) if (wanted(name)) await measure({ seconds });
    if (root !== undefined && only?.split(',').includes('packs')) {
      await packRates({ seconds: Number(seconds), otherRoot: root, say });
    }
  });
  return results;
}

async function main(): Promise<void> {
  const results = await measureAll(parse());
  if (results.length > 0) say(`\n${resultTable(results)}`);
  process.exitCode = results.every(isReached) ? 0 : 1;
}

await main();
