import { spawn } from 'node:child_process';
import { root } from './paths.mjs';
import { say } from './say.mjs';

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'];

/** Runs steps one after the other with this terminal, then ends with the status of the first that failed, or its signal. */
export async function runAll(steps) {
  for (const { name, argv, required } of steps) {
    const { code, signal } = await runChild(argv);
    if (signal !== null) {
      process.kill(process.pid, signal);
      return;
    }
    if (code === 0) continue;
    if (steps.length > 1) say(`${name}: failed`);
    process.exitCode ||= code;
    if (required) return;
  }
}

/**
 * Runs steps side by side, with a line for each when it ends, after all that it said if it failed. Ends like {@link runAll}.
 */
export async function runTogether(steps) {
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1000).toFixed(0)} s`;
  const ends = await Promise.all(
    steps.map(async ({ name, argv, env }) => {
      const said = [];
      const { code, signal } = await runChild(argv, { env, hear: (chunk) => said.push(chunk) });
      if (code !== 0) process.stdout.write(Buffer.concat(said));
      say(code === 0 ? `${name}: ok, ${seconds()}` : `${name}: failed`);
      return { code, signal };
    }),
  );
  const signalled = ends.find(({ signal }) => signal !== null);
  if (signalled !== undefined) process.kill(process.pid, signalled.signal);
  else process.exitCode = ends.find(({ code }) => code !== 0)?.code ?? 0;
}

/** @param hear gets what it says, which goes to this terminal otherwise; @param env beside this process's */
async function runChild([program, ...args], { hear, env } = {}) {
  const stdio = hear === undefined ? 'inherit' : ['ignore', 'pipe', 'pipe'];
  const child = spawn(program, args, { cwd: root, env: { ...process.env, ...env }, stdio });
  if (hear !== undefined) for (const stream of [child.stdout, child.stderr]) stream.on('data', hear);
  const handlers = forwarded.map((signal) => [signal, () => forward(child, signal)]);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
  } finally {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  }
}

/** Ctrl-C at a terminal reaches the child without us; twice would mean "at once" to many programs. */
function forward(child, signal) {
  if (signal === 'SIGINT' && process.stdin.isTTY) return;
  child.kill(signal);
}
