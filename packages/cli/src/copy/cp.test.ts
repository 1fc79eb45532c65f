import assert from 'node:assert/strict';
import { chmod, lstat, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { ServicesDouble } from '@citb/testkit/services/index.ts';
import { Testbed } from '../testbed.ts';

let bed: Testbed;
let folder: string;
let services: ServicesDouble;
let citb: Testbed['citb'];

before(async () => {
  bed = await Testbed.create();
  ({ folder, services, citb } = bed);
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

suite('cp', () => {
  before(async () => void (await citb(['create', '--user', 'copier', '--runtime', 'bash'])));

  test('files go both ways, with their mode', async () => {
    await writeFile(join(folder, 'run.sh'), '#!/bin/sh\n');
    await chmod(join(folder, 'run.sh'), 0o755);
    assert.equal((await citb(['cp', 'run.sh', 'copier:bin/'])).code, 0);
    assert.match((await citb(['ls', 'copier:'])).out, /755 .* bin\/run\.sh/);
    await mkdir(join(folder, 'back'));
    assert.equal((await citb(['cp', 'copier:/workspace/bin/run.sh', 'back'])).code, 0);
    assert.equal(await readFile(join(folder, 'back/run.sh'), 'utf8'), '#!/bin/sh\n');
  });

  test('folders go both ways, whole', async () => {
    await mkdir(join(folder, 'tree/deep'), { recursive: true });
    await writeFile(join(folder, 'tree/deep/leaf'), 'leaf');
    await symlink('deep/leaf', join(folder, 'tree/link'));
    assert.equal((await citb(['cp', 'tree', 'copier:'])).code, 0);
    assert.equal((await citb(['cp', 'copier:tree', 'copy'])).code, 0);
    assert.equal(await readFile(join(folder, 'copy/link'), 'utf8'), 'leaf');
    // An existing folder gets it inside, as with cp -r.
    assert.equal((await citb(['cp', 'copier:tree', 'copy'])).code, 0);
    assert.equal(await readFile(join(folder, 'copy/tree/deep/leaf'), 'utf8'), 'leaf');
  });

  test('a link planted in a box that leads out of the folder is left out', async () => {
    const box = await services.boxes.byUser('copier');
    const workspace = services.boxes.workspace(box.id);
    await mkdir(join(workspace, 'trap'));
    await symlink('/etc', join(workspace, 'trap/etc'));
    await symlink('../../x', join(workspace, 'trap/up'));
    await writeFile(join(workspace, 'trap/good'), 'good');
    const { code, err } = await citb(['cp', 'copier:trap', 'trapped']);
    assert.equal(code, 0);
    assert.match(err, /Left out: .*etc/);
    assert.deepEqual(await readdir(join(folder, 'trapped')), ['good']);
  });

  test('stdin and stdout', async () => {
    const data = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));
    assert.equal((await citb(['cp', '-', 'copier:data.bin'], { stdin: data })).code, 0);
    const box = await services.boxes.byUser('copier');
    assert.deepEqual(await readFile(join(services.boxes.workspace(box.id), 'data.bin')), data);
    assert.equal((await citb(['cp', 'copier:tree', '-'])).out.includes('leaf'), true);
  });

  test('what is not there: exit code 3, and nothing half written stays', async () => {
    assert.equal((await citb(['cp', 'copier:no/such', 'here'])).code, 3);
    await assert.rejects(lstat(join(folder, 'here')));
    assert.equal((await citb(['cp', 'nofile', 'copier:x'])).code, 2);
    assert.equal((await citb(['cp', 'a', 'b'])).code, 2);
  });
});
