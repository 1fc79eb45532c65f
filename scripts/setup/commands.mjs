import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { node, root } from './paths.mjs';

const tool = (name, file, ...args) => ({ name, argv: [node, `${root}node_modules/${file}`, ...args] });

/** Types, lint, format: each is told by name when it fails. */
const checks = [
  tool('types', 'typescript/bin/tsc', '-p', root),
  tool('lint', 'oxlint/bin/oxlint', '--quiet'),
  tool('format', 'oxfmt/bin/oxfmt', '--check'),
];

const unitTests = ['packages/*/src/**/*.test.ts', 'scripts/**/*.test.mjs'];

/** Those without the real Claude Code and without daemons that are killed again and again: what a developer waits for. */
const quickTests = [
  'packages/!(guest)/src/**/!(native|killed-daemon|double|transfer|turns).test.ts',
  'packages/guest/src/!(agent)/**/*.test.ts',
  'packages/guest/src/agent/*/**/*.test.ts',
  'scripts/**/*.test.mjs',
  'test/architecture/**/*.test.ts',
];

/** Only against a test that hangs, in ms: a slow machine is no failure. */
const hangMs = { ok: 300_000, test: 1_800_000 };

/** Tests of many files in each process, and modules compiled once: most of their time would be node starting. Six, because they wait a lot. */
const quickShards = ['1/6', '2/6', '3/6', '4/6', '5/6', '6/6'].map((shard) => ({
  name: `tests ${shard}`,
  env: { NODE_COMPILE_CACHE: `${root}.cache/compiled` },
  argv: [node, '--test', '--test-isolation=none', `--test-shard=${shard}`, `--test-timeout=${hangMs.ok}`, ...quickTests],
}));

/** Two files at once: on two cores more machines would only wait for each other. */
const tests = (timeout, ...globs) => ({
  name: 'tests',
  argv: [node, '--test', '--test-reporter=spec', '--test-concurrency=2', `--test-timeout=${timeout}`, ...globs],
});
const program = (file, ...args) => ({ name: file, argv: [node, `${root}${file}`, ...args] });
const images = { name: 'images', argv: [node, `${root}scripts/setup/images.ts`], required: true };

/**
 * What a command runs, in order (or `together`), and whether it needs what runs machines.
 * A `required` step that fails ends the command; other checks go on, so that one run shows all that is wrong.
 */
export function commands(name, args) {
  switch (name) {
    case 'ok':
      return { machines: false, together: true, steps: [...checks, ...quickShards] };
    case 'test':
      return {
        machines: true,
        steps: [...checks, images, tests(hangMs.test, ...(args.length > 0 ? args : [...unitTests, 'test/**/*.test.ts']))],
      };
    case 'setup':
      return { machines: true, steps: [images] };
    case 'host':
      return { machines: true, steps: [program('packages/host/src/main.ts', ...args)] };
    case 'bench':
      return { machines: true, steps: [program('bench/main.ts', ...args)] };
    case 'chaos':
      return { machines: true, steps: [images, program('test/chaos/main.ts', ...args)] };
    case 'demo':
      return { machines: true, steps: [program('scripts/demo.ts', ...args)] };
    default:
      return name !== undefined && existsSync(name)
        ? { machines: true, steps: [{ name, argv: [node, resolve(name), ...args] }] }
        : undefined;
  }
}
