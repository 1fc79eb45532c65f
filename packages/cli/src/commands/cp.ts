import type { Command } from 'commander';
import { download } from '../copy/download.ts';
import { upload } from '../copy/upload.ts';
import type { Cli } from '../cli.ts';
import { UsageError } from '../exit.ts';
import { parsePlace } from '../place.ts';
import { bytes, duration } from '../render/index.ts';
import { boxArgument, findBox } from '../target.ts';

/** `citb cp`: files and folders between here and a box. */
export function addCp(program: Command, cli: Cli): void {
  program
    .command('cp')
    .summary('copy files and folders into a box or out of it')
    .description(
      'Copies between here and a box; folders with all that is in them. One side is BOX:PATH, the other a local path, or "-" for\n' +
        `stdin or stdout. PATH is relative to /workspace. BOX: ${boxArgument}.`,
    )
    .argument('<from>', 'what is copied')
    .argument('<to>', 'where to; an existing folder, or one that ends in "/", gets it inside')
    .addHelpText(
      'after',
      `
Examples:
  citb cp ./data.csv ada:data/
  citb cp ada:report.pdf .
  citb cp ./src ada:            makes /workspace/src in the box
  citb cp ada:src ./copy        the folder src as ./copy
  citb cp ada:log.txt - | grep error
  pg_dump shop | citb cp - ada:shop.sql

A local name with a colon is written ./a:b.`,
    )
    .action(async (fromText: string, toText: string) => {
      const [from, to] = [parsePlace(fromText), parsePlace(toText)];
      await using citb = await cli.client();
      const began = performance.now();
      let copied;
      if (from.kind === 'box' && to.kind !== 'box') copied = await download(cli, (await findBox(citb, from.box)).files, from, to);
      else if (to.kind === 'box' && from.kind !== 'box') copied = await upload(cli, (await findBox(citb, to.box)).files, from, to);
      else if (to.kind === 'box') throw new UsageError('Both sides are in a box.', 'Copy it here first, then into the other box.');
      else throw new UsageError('Neither side is in a box.', 'Write one side as BOX:PATH, for example ada:data/.');
      if (cli.stderr.isTTY)
        cli.note(cli.errorColours.dim(`${copied.what}: ${bytes(copied.bytes)} in ${duration(performance.now() - began)}`));
    });
}
