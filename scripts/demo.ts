import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { TaskView, bytes, createColours, printable, table } from '@citb/cli/render';
import { createImages, defaultDataDir } from '@citb/images';
import { ApiError, type Box } from '@citb/sdk';
import { startScriptedModel } from '@citb/testkit';
import { DemoHost } from './demo/host.ts';
import { Steps } from './demo/steps.ts';

/**
 * The main job, end to end, on a real machine: a box, a task for the agent, its stream, its files. With ANTHROPIC_API_KEY the
 * model is the real one; without, it is scripted, and all else (machine, agent, tool calls, files) is real.
 */
const prompt = 'Create a Python script that prints hello world, and run it';
const colours = createColours(process.stdout, process.env);
const interrupted = new Error('Interrupted.');
/** Without a template after so long the box boots, in ms. */
const templateMs = 120_000;

async function demo(signal: AbortSignal): Promise<void> {
  const steps = new Steps(colours, signal);
  await using stack = new AsyncDisposableStack();
  const dataDir = defaultDataDir(process.env);

  await steps.run('Image of the claude-agent runtime', async (report) => {
    const images = createImages({ dataDir, repoRoot: fileURLToPath(new URL('..', import.meta.url)) });
    const built = images.get('claude-agent', (line) => (process.stderr.isTTY ? report(line) : say(line)));
    await Promise.race([built, aborted(signal)]);
  });
  const settings = await modelSettings(stack);
  const host = await steps.run('Host daemon', async (report) => stack.use(await DemoHost.start(dataDir, settings, report, signal)));
  try {
    const { host: facts } = await host.citb.status();
    say(`${facts.vmm} ${facts.vmm_version}, ${facts.accelerator}: ${facts.accelerator_reason}`);
    await steps.run('Template: a machine that is up already, of which boxes are clones; made once', (report) => {
      report('starting Claude Code in a machine');
      return host.template('claude-agent', templateMs, signal);
    });
    const box = await steps.run('Box for user demo', () => host.citb.boxes.create({ userId: 'demo', signal }));
    say(`${box.id}: machine ${box.info.pid}, at ${box.info.vm_ip}`);
    await steps.run(`Task: ${prompt}`, () => watch(box, signal));
    await steps.run('Files', () => showFiles(box));
    await steps.run('Kill the box', () => box.kill());
  } catch (error) {
    if (error !== interrupted) say(`The log of the host: ${await host.keepLog()}`);
    throw error;
  }
  await steps.run('Stop the daemon', () => stack.disposeAsync());
  process.stdout.write(`\n${colours.green('The demo is done.')}\n${steps.summary()}\n`);
}

/** Where the daemon's model is. Without a key: the scripted one, said plainly. */
async function modelSettings(stack: AsyncDisposableStack): Promise<Record<string, string>> {
  const key = process.env['ANTHROPIC_API_KEY'];
  if (key !== undefined && key !== '') {
    process.stdout.write('\nModel: the real one, with ANTHROPIC_API_KEY\n');
    return {};
  }
  process.stdout.write(
    `\n${colours.yellow('no ANTHROPIC_API_KEY: scripted model')} (the machine, the agent, its tool calls and files are real)\n`,
  );
  const model = stack.adopt(await startScriptedModel(), (started) => started.close());
  return { CITB_ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'sk-scripted-model' };
}

async function watch(box: Box, signal: AbortSignal): Promise<void> {
  const task = await box.run(prompt, { signal });
  const view = new TaskView(process.stdout, colours, { width: process.stdout.columns });
  for await (const event of task.events({ signal })) view.event(event);
  const { outcome, text } = await task.result();
  if (outcome !== 'done') throw new Error(`The task ended as ${outcome}: ${printable(text)}`);
}

/** The workspace, and the program that the agent wrote there. */
async function showFiles(box: Box): Promise<void> {
  const { entries } = await box.files.list();
  process.stdout.write(
    `${table(
      colours,
      ['SIZE', 'PATH'],
      entries.map(({ size, path }) => [bytes(size), path]),
    )}\n`,
  );
  const program = entries.find(({ path, type }) => type === 'file' && path.endsWith('.py'));
  if (program === undefined) throw new Error('The agent left no Python program in the workspace.');
  process.stdout.write(`\n${colours.dim(`${printable(program.path)}:`)}\n${printable(await box.files.read(program.path)).trimEnd()}\n`);
}

/** Rejects when the signal is aborted: for work that takes none. */
async function aborted(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  throw signal.reason;
}

function say(line: string): void {
  process.stdout.write(`${colours.dim(`  ${printable(line)}`)}\n`);
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (!stop.signal.aborted) process.stderr.write('\nEnding: the box and the daemon are stopped first.\n');
    stop.abort(interrupted);
  });
}
try {
  await demo(stop.signal);
} catch (error) {
  if (error === interrupted) process.exitCode = 130;
  else {
    process.stderr.write(`\n${colours.red('The demo failed:')} ${printable(error instanceof Error ? error.message : String(error))}\n`);
    if (error instanceof ApiError) process.stderr.write(`  ${error.hint}\n`);
    process.exitCode = 1;
  }
}
// An image build that was left still runs as a child; it ends with us.
process.exit();
