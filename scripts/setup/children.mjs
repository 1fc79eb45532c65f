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

async function runChild([program, ...args]) {
  const child = spawn(program, args, { cwd: root, stdio: 'inherit' });
  const handlers = forwarded.map((signal) => [signal, () => forward(child, signal)]);
  for (const [signal, handler] of handlers) process.on(signal, handler);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve({ code, signal }));
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
