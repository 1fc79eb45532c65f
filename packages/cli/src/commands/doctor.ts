import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { dataDirectory } from '../connection.ts';
import type { Finding } from '../doctor/check.ts';
import { askHealth, checkApiKey, checkHost, checkModelKey } from '../doctor/host.ts';
import { checkKvm, checkNode, checkPrograms } from '../doctor/machine.ts';
import { checkDataDirectory, checkImages } from '../doctor/storage.ts';
import { exitCodes } from '../exit.ts';
import { oneLine } from '../render/index.ts';

/** `citb doctor`: what works here, what does not, and what to do. */
export function addDoctor(program: Command, cli: Cli): void {
  program
    .command('doctor')
    .summary('say what works on this machine, what does not, and what to do')
    .description(
      'Says what works on this machine, what does not, and what to do. Needs no running host, and asks one when there is.\n' +
        'Ends with 1 when something keeps boxes from running.',
    )
    .option('--json', 'one JSON object a line')
    .addHelpText('after', '\nExamples:\n  citb doctor\n  citb doctor --json | jq -r \'select(.state=="failure").todo\'')
    .action(async (flags: { json?: true }) => {
      const findings = await examine(cli);
      for (const finding of findings) {
        if (flags.json) cli.print(JSON.stringify(finding));
        else show(cli, finding);
      }
      const failed = findings.some((finding) => finding.state === 'failure');
      if (failed) cli.exitCode = exitCodes.failure;
      if (!flags.json) cli.print(failed ? '\nBoxes cannot run here yet.' : '\nBoxes can run here.');
    });
}

async function examine(cli: Cli): Promise<Finding[]> {
  const connection = await cli.connection();
  const health = await askHealth(connection);
  const directory = dataDirectory(cli.env);
  return [
    checkNode(),
    ...(await Promise.all([
      checkPrograms(cli.env['PATH'] ?? ''),
      checkKvm(health instanceof Error ? undefined : health),
      checkDataDirectory(directory),
      checkImages(directory),
      checkHost(connection, health),
      checkApiKey(connection, health),
      checkModelKey(connection, health, cli.env),
    ])),
  ];
}

function show(cli: Cli, { state, name, found, todo }: Finding): void {
  const { green, yellow, red, bold, dim } = cli.colours;
  const mark = { ok: green('✔'), warning: yellow('!'), failure: red('✖') }[state];
  cli.print(`${mark} ${bold(name.padEnd(12))} ${oneLine(found, 600)}`);
  if (todo !== undefined) cli.print(`  ${' '.repeat(12)} ${dim('→')} ${todo}`);
}
