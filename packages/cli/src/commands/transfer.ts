import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { collectPairs } from '../options.ts';
import { Counted } from '../copy/counted.ts';
import { downloadExport } from '../copy/export.ts';
import { Waiting, bytes, duration } from '../render/index.ts';
import { boxArgument, findBox } from '../target.ts';

/** `citb export` and `citb import`: whole boxes as files. */
export function addTransfer(program: Command, cli: Cli): void {
  addExport(program, cli);
  addImport(program, cli);
}

function addExport(program: Command, cli: Cli): void {
  program
    .command('export')
    .summary('download a whole box')
    .description(
      'Downloads a whole box: disk, conversations, tasks and their events. A download that breaks goes on where it stopped.\n' +
        'Environment variables and keys are not in it.',
    )
    .argument('<box>', boxArgument)
    .argument('[file]', 'where to; "-" for stdout (default: BOX.citb)')
    .addHelpText('after', '\nExamples:\n  citb export ada\n  citb export ada - | ssh other citb import - --user ada')
    .action(async (name: string, given: string | undefined) => {
      await using citb = await cli.client();
      const box = await findBox(citb, name);
      const file = given ?? `${box.id}.citb`;
      const began = performance.now();
      using waiting = new Waiting(cli.stderr, 'The box is packed');
      const prepared = await citb.exports.prepare(box.id);
      waiting[Symbol.dispose]();
      try {
        if (file === '-') await pipeline((await citb.exports.download(prepared.id)).body, cli.stdout, { end: false });
        else await downloadExport(cli, citb.exports, prepared, file);
      } finally {
        await citb.exports.delete(prepared.id).catch(() => undefined);
      }
      if (cli.stderr.isTTY)
        cli.note(cli.errorColours.dim(`${file}: ${bytes(prepared.size_bytes)} in ${duration(performance.now() - began)}`));
    });
}

function addImport(program: Command, cli: Cli): void {
  program
    .command('import')
    .summary('make a box from an exported one')
    .description(
      'Makes a box from a file that `citb export` wrote, and prints its id. It is stopped, and boots on its first request. Its Anthropic\n' +
        'key is given again: with --env, or with the first task. A connection that breaks goes on where it stopped.',
    )
    .argument('<file>', 'the file; "-" for stdin')
    .option('--user <id>', "whose box it is (default: nobody's)")
    .option('--id <id>', 'an id of your own (default: the host makes one)')
    .option('--env <K=V>', 'environment of the box; may be repeated', collectPairs(cli.env))
    .option('--json', 'print the box as JSON')
    .addHelpText('after', '\nExamples:\n  citb import box_k3v9x2m1.citb --user ada')
    .action(async (file: string, flags: { user?: string; id?: string; env?: Record<string, string>; json?: true }) => {
      await using citb = await cli.client();
      const total = file === '-' ? undefined : (await stat(file)).size;
      using counted = new Counted(cli, file, total);
      const piped = pipeline(file === '-' ? cli.stdin : createReadStream(file), counted);
      piped.catch(() => undefined);
      const box = await citb.boxes.import(counted, {
        userId: flags.user,
        id: flags.id,
        env: flags.env,
        onReconnect: (cause) => cli.note(cli.errorColours.dim(`${cause.message} It goes on where it stopped.`)),
      });
      cli.print(flags.json ? JSON.stringify(box.info) : box.id);
    });
}
