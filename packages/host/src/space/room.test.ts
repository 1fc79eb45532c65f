import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { createLog } from '@citb/daemon';
import { Admission } from '../boxes/admission.ts';
import { Testbed } from '../boxes/testbed.ts';
import { checkpointDaemon } from '../checkpoints/testbed.ts';
import { makeRoom } from './room.ts';

const log = createLog('test', 'silent');

/** An admission that sees as much free disk as the test says. */
class Disk extends Admission {
  free = 0;

  override get diskFreeMib(): number {
    return this.free;
  }
}

suite('when the disk is short', () => {
  test('the oldest automatic checkpoints of all boxes go until there is room; nothing else ever does', async () => {
    using bed = new Testbed();
    const it = checkpointDaemon(bed);
    const boxes = ['ada', 'bob'].map((userId) => it.daemon.boxes.create({ userId, runtime: 'bash', envVars: {} }));
    const [ada, bob] = (await Promise.all(boxes)).map(({ box }) => box.id) as [string, string];
    for (const id of [ada, bob, ada, bob]) {
      bed.now += 10_000;
      await it.beforeTask(await it.daemon.access.awake(id), `task_${String(bed.now).padStart(20, '0')}`);
    }
    await it.checkpoints.create(ada, { memory: true });
    await it.byAgent(bob, 'mine');
    const disk = new Disk({ memoryMib: 1, maxBoxes: 1, diskReserveMib: 1000 }, bed.dataDir);

    disk.free = 1000;
    await makeRoom(disk, it, log);
    assert.equal(it.rows.automatic().length, 4, 'enough is free');

    disk.free = 999;
    const freeing = { expireAutomatic: (enough: () => boolean) => it.expireAutomatic(() => ((disk.free += 100), enough())) };
    const order = it.rows.automatic().map(({ id }) => id);
    await makeRoom(disk, freeing, log);
    assert.deepEqual(
      it.rows.automatic().map(({ id }) => id),
      order.slice(2),
    );

    disk.free = 0;
    await makeRoom(disk, it, log);
    assert.deepEqual(it.rows.automatic(), []);
    assert.deepEqual(
      [...(await it.checkpoints.list(ada)), ...(await it.checkpoints.list(bob))].map(({ kind }) => kind),
      ['manual', 'agent'],
    );
  });
});
