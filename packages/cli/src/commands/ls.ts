import type { Command } from 'commander';
import type { BoxSpace, BoxUsage, FileEntry } from '@citb/api';
import type { Citb } from '@citb/sdk';
import type { Cli } from '../cli.ts';
import { collectPairs } from '../options.ts';
import { parsePlace } from '../place.ts';
import { bytes, duration, mebibytes, oneLine, table } from '../render/index.ts';
import { findBox } from '../target.ts';

interface LsFlags {
  label?: Record<string, string>;
  quiet?: true;
  json?: true;
}

/** `citb ls`: the boxes, or the files of one. */
export function addLs(program: Command, cli: Cli): void {
  program
    .command('ls')
    .summary('list boxes, or the files of a box')
    .description('Lists the boxes; with BOX: (or BOX:PATH) the files in its workspace.')
    .argument('[place]', 'BOX: or BOX:PATH for files')
    .option('--label <k=v>', 'only boxes with this label; may be repeated', collectPairs({}))
    .option('-q, --quiet', 'only ids, or only paths')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  citb ls
  citb ls --label team=data -q
  citb ls ada:            the files of the box of user ada
  citb ls ada:src`,
    )
    .action(async (place: string | undefined, flags: LsFlags) => {
      await using citb = await cli.client();
      if (place === undefined) await listBoxes(cli, citb, flags);
      else await listFiles(cli, citb, place, flags);
    });
}

async function listBoxes(cli: Cli, citb: Citb, flags: LsFlags): Promise<void> {
  const rows: string[][] = [];
  // One look at the disk for all of them; ids need none.
  const usage = flags.quiet ? [] : (await citb.usage()).boxes;
  const taken = new Map(usage.map((each) => [each.box_id, each]));
  for await (const { info } of citb.boxes.list({ labels: flags.label })) {
    if (flags.json) cli.print(JSON.stringify({ ...info, usage: spaceOf(taken.get(info.id)) }));
    else if (flags.quiet) cli.print(info.id);
    const age = duration(Date.now() - Date.parse(info.created));
    const state = info.reason === null ? info.state : `${info.state}: ${info.reason}`;
    const space = taken.get(info.id);
    const disk = `${space === undefined ? '-' : bytes(space.total_bytes)} / ${mebibytes(info.disk_mib)}`;
    rows.push([info.id, info.user_id ?? '-', info.runtime, state, age, mebibytes(info.memory_mib), disk]);
  }
  if (flags.json || flags.quiet) return;
  if (rows.length === 0) return cli.note('There are no boxes. `citb create` makes one.');
  cli.print(table(cli.colours, ['BOX', 'USER', 'RUNTIME', 'STATE', 'AGE', 'MEMORY', 'DISK'], rows));
}

/** What a box takes, as `GET /v1/boxes/{id}` says it; nothing of one that came in between. */
function spaceOf(usage: BoxUsage | undefined): BoxSpace | undefined {
  if (usage === undefined) return undefined;
  const { box_id: _box, user_id: _user, ...space } = usage;
  return space;
}

async function listFiles(cli: Cli, citb: Citb, name: string, flags: LsFlags): Promise<void> {
  const place = parsePlace(name.includes(':') ? name : `${name}:`);
  const box = await findBox(citb, place.kind === 'box' ? place.box : name);
  const { entries, truncated } = await box.files.list(place.kind === 'box' ? place.path : '');
  if (flags.json) for (const entry of entries) cli.print(JSON.stringify(entry));
  else if (flags.quiet) for (const entry of entries) cli.print(oneLine(entry.path, 4096));
  else if (entries.length === 0) cli.note('The workspace is empty.');
  else cli.print(table(cli.colours, ['MODE', 'SIZE', 'MODIFIED', 'PATH'], entries.map(fileRow)));
  if (truncated) cli.note(`There are more than ${entries.length}: name a folder to see less.`);
}

function fileRow(entry: FileEntry): string[] {
  const kind = { file: '', directory: '/', symlink: entry.target === undefined ? '@' : ` -> ${entry.target}`, other: '?' }[entry.type];
  const size = entry.type === 'file' ? bytes(entry.size) : '-';
  return [entry.mode, size, entry.modified.slice(0, 19).replace('T', ' '), `${entry.path}${kind}`];
}
