import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { createCli } from '../cli.ts';
import { createProgram } from '../program.ts';
import { bashCompletion } from './bash.ts';
import { fishCompletion } from './fish.ts';
import { commandTree } from './tree.ts';
import { zshCompletion } from './zsh.ts';

const tree = commandTree(createProgram(createCli(process, { color: false, url: () => undefined }), '0'));

/** What bash offers for the last word of a line. */
function completed(...line: string[]): string[] {
  const words = line.map((word) => `'${word}'`).join(' ');
  const script = `${bashCompletion(tree)}\nCOMP_WORDS=(${words}); COMP_CWORD=${line.length - 1}; _citb; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8', env: { PATH: process.env['PATH'] } });
  assert.equal(stderr, '');
  return stdout.trim().split('\n');
}

test('bash completes commands, options and choices', () => {
  assert.deepEqual(completed('citb', 'co'), ['completion']);
  assert.deepEqual(completed('citb', '--no-color', 'sh'), ['shell']);
  assert.deepEqual(completed('citb', 'create', '--me'), ['--memory']);
  assert.deepEqual(completed('citb', 'completion', ''), ['bash', 'zsh', 'fish']);
});

for (const [shell, script] of Object.entries({ zsh: zshCompletion(tree), fish: fishCompletion(tree) })) {
  const missing = spawnSync(shell, ['--version']).error !== undefined;
  test(`${shell} takes its script`, { skip: missing && `there is no ${shell} here` }, () => {
    const { status, stderr } = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  });
  test(`the script for ${shell} names every command and option`, () => {
    for (const command of tree.commands) {
      assert.ok(script.includes(command.name));
      for (const option of command.options) assert.ok(script.includes(option.long.slice(2)), option.long);
    }
  });
}
