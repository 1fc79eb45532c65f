import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { runCitb } from './run.ts';

/** `citb`: the one place that reads the environment and the command line. */
const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

// `citb ls | head -1`: whoever reads has enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

process.exitCode = await runCitb(process.argv.slice(2), process, version);
