import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { createDisks } from './disks.ts';
import { layoutOf } from './layout.ts';

const disks = createDisks();

suite('private disks', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'citb-disks-'));
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  for (const diskMib of [64, 5120, 20_000]) {
    test(`a disk of ${diskMib} MiB has so much to write on, not much more, and takes little until it is used`, async () => {
      const path = join(folder, `${diskMib}.img`);
      await disks.create(path, diskMib);
      const { blocks, mode } = await stat(path);
      assert.equal(mode & 0o777, 0o600);
      assert.ok(blocks * 512 < 40 * 1024 * 1024, `${blocks * 512} bytes are taken`);
      const { startMib, sizeMib } = layoutOf(diskMib).data;
      const env = { PATH: '/usr/sbin:/sbin:/usr/bin:/bin', LC_ALL: 'C' };
      const told = execFileSync('dumpe2fs', ['-h', `${path}?offset=${startMib * 1024 * 1024}`], {
        env,
        stdio: ['ignore', 'pipe', 'ignore'],
      }).toString();
      const number = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(told)?.[1]);
      const freeMib = (number('Free blocks') * 4096) / 1024 / 1024;
      assert.equal(number('Block count') * 4096, sizeMib * 1024 * 1024);
      assert.equal(number('Reserved block count'), 0);
      assert.ok(freeMib >= diskMib, `${freeMib} MiB are free`);
      assert.ok(freeMib <= diskMib * 1.01 + 16, `${freeMib} MiB are free`);
    });
  }

  test('a disk that is there is left alone, and an unfinished one is made anew', async () => {
    const path = join(folder, 'again.img');
    await disks.create(path, 64);
    const first = await stat(path);
    await disks.create(path, 64);
    assert.equal((await stat(path)).ino, first.ino);
  });

  test('a copy has the same content and takes no more room', async () => {
    const path = join(folder, 'source.img');
    const copy = join(folder, 'copy.img');
    await disks.create(path, 256);
    await disks.copy(path, copy);
    const [from, to] = await Promise.all([stat(path), stat(copy)]);
    assert.equal(to.size, from.size);
    assert.ok(to.blocks <= from.blocks + 64, `${to.blocks} blocks for ${from.blocks}`);
    execFileSync('cmp', [path, copy]);
  });

  test('a cancelled creation leaves nothing behind', async () => {
    const path = join(folder, 'cancelled.img');
    await assert.rejects(disks.create(path, 64, AbortSignal.abort(new Error('changed my mind'))), /changed my mind/);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith('cancelled')),
      [],
    );
  });
});
