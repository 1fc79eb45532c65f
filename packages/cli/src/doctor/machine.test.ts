import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { checkKvm, checkPrograms, programs, rootlessPrograms } from './machine.ts';

test('doctor looks for just what the set-up installs', async () => {
  const setup = await readFile(new URL('../../../../scripts/setup/system.mjs', import.meta.url), 'utf8');
  const lists = [...setup.matchAll(/rograms = \{([^}]*)\}/g)].map(([, list = '']) =>
    Object.fromEntries(
      [...list.matchAll(/'?([\w.-]+)'?: '([\w.-]+)'/g)].map(([, program = '', debianPackage = '']) => [program, debianPackage]),
    ),
  );
  assert.deepEqual(lists, process.arch === 'x64' ? [programs, rootlessPrograms] : lists);
});

test('missing programs are told with the command that brings them', async () => {
  const { state, todo } = await checkPrograms('/nonexistent');
  assert.equal(state, 'failure');
  assert.match(todo ?? '', /^sudo apt-get install .*qemu-system/);
});

test("a host's verdict on KVM counts more than the device file", async () => {
  const { state, found } = await checkKvm({ accelerator: 'tcg', reason: 'the probe machine did not boot with KVM' });
  assert.deepEqual([state, found], ['warning', 'tcg: the probe machine did not boot with KVM']);
  const closed = await checkKvm({ accelerator: 'tcg', reason: 'failed to initialize kvm: Permission denied' });
  assert.match(closed.todo ?? '', /chgrp kvm/);
});
