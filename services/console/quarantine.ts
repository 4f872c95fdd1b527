// `postrider quarantine ls`, `show` and `drop`: records that could not be read, and were put aside.
import { writeFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { connectQuarantineAdmin, type QuarantineAdmin } from '#libs/rpc/quarantine-admin-client.ts';
import type { AsideRecord } from '#proto/postrider/v1/admin.ts';
import { ageText } from './quantities.ts';
import { aligned, visible, widthsOf } from './table.ts';

export interface QuarantineSurroundings {
  out: (text: string) => void;
  now: () => number;
}

interface AdminOptions {
  admin: string;
}

const HEADINGS = ['NUMBER', 'SINCE', 'WAS', 'SUBJECT', 'OCTETS', 'WHY'];

/** Adds the commands; `admin` is the address when none is given. */
export function addQuarantine(
  program: Command,
  admin: { address: string; help: string },
  { out, now }: QuarantineSurroundings,
): void {
  const quarantine = program.command('quarantine').description('records that could not be read');
  const named = (line: string) =>
    quarantine.command(line).option('--admin <host:port>', admin.help, admin.address);
  named('ls')
    .description('lists what was put aside, oldest first')
    .action(async (options: AdminOptions) => {
      const records = await asked(options, (queue) => queue.list());
      out(asideText(records, now()));
    });
  named('show')
    .description('says what one is, and writes its octets to a file')
    .argument('<number>', 'as it is listed', numberOf)
    .option('--output <file>', 'where its octets go; without it they are shown in base64')
    .action(async (number: number, { output, ...options }: AdminOptions & { output?: string }) => {
      const record = await asked(options, (queue) => queue.show(number));
      out(asideText([record], now()));
      if (output === undefined) out(`${Buffer.from(record.data).toString('base64')}\n`);
      else writeFileSync(output, record.data);
    });
  named('drop')
    .description('removes one for good')
    .argument('<number>', 'as it is listed', numberOf)
    .action(async (number: number, options: AdminOptions, command: Command) => {
      const found = await asked(options, (queue) => queue.drop(number));
      if (!found) command.error(`error: there is no record ${number}; postrider quarantine ls lists them.`);
      out(`Record ${number} is gone.\n`);
    });
}

/** A row per record; each line with its line end. */
export function asideText(records: readonly AsideRecord[], nowMs: number): string {
  if (records.length === 0) return 'Nothing is in quarantine.\n';
  const rows = records.map(({ number, asideAtMs, stream, sequence, subject, size, why }) => [
    String(number),
    `${ageText(nowMs - asideAtMs)} ago`,
    `${visible(stream)} ${sequence}`,
    visible(subject),
    String(size),
    visible(why),
  ]);
  const widths = widthsOf([HEADINGS, ...rows]);
  return [HEADINGS, ...rows].map((row) => `${aligned(row, widths)}\n`).join('');
}

function numberOf(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError('expected a number, as ls lists it.');
  return Number.parseInt(text, 10);
}

async function asked<T>({ admin }: AdminOptions, ask: (queue: QuarantineAdmin) => Promise<T>): Promise<T> {
  const queue = connectQuarantineAdmin(admin);
  try {
    return await ask(queue);
  } finally {
    queue.close();
  }
}
