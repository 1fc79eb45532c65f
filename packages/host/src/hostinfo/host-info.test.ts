import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { hostHealth, hostStatus } from '@citb/api';
import { Admission } from '../boxes/admission.ts';
import { Testbed } from '../boxes/testbed.ts';
import { checkpointDaemon } from '../checkpoints/testbed.ts';
import { boxUsage } from '../space/usage.ts';
import type { Vmm, VmmReport } from '../vmm/vmm.ts';
import { createHostInfo, type Phase } from './host-info.ts';

const report: VmmReport = {
  usable: true,
  version: '7.2',
  accelerator: 'tcg',
  reason: 'KVM does not work here',
  isolation: { uid: true, cgroup: 'v1', seccomp: true },
};

suite('what the host tells about itself', () => {
  test('status and health have the form of the contract, and each box its figures', async () => {
    using bed = new Testbed();
    const daemon = bed.daemon();
    const { box } = await daemon.boxes.create({ userId: 'ada', runtime: 'bash', envVars: {} });
    const admission = new Admission({ memoryMib: 1000, maxBoxes: 3, diskReserveMib: 0 }, bed.dataDir);
    let phase: Phase = { status: 'starting', reason: 'building images' };
    const info = createHostInfo({
      version: '0.1.0',
      usage: (row) => boxUsage(checkpointDaemon(bed).parts, row),
      model: { base_url: 'http://model', default_key: true, default_model: 'm' },
      vmm: { name: 'qemu' } as Vmm,
      report,
      rows: daemon.rows,
      live: daemon.live,
      admission,
      templates: () => [],
      taskCounts: () => ({ running: 1, queued: 2 }),
      drain: (deadlineMs) => daemon.drain(AbortSignal.timeout(deadlineMs)),
      reconcile: () => daemon.reconcile(),
      phase: () => phase,
      now: () => bed.now + 5000,
    });
    admission.count(box.id, box.memory_mib);
    const status = hostStatus.parse(await info.status());
    assert.equal(status.capacity.max_boxes, 3);
    assert.equal(status.host.accelerator_reason, report.reason);
    const [shown] = status.boxes;
    assert.equal(shown?.pid, box.pid);
    assert.equal(shown?.age_s, 5);
    assert.equal(shown?.memory_used_mib, 1);
    assert.equal(shown?.memory_held_mib, status.capacity.memory_committed_mib);
    assert.deepEqual(shown?.tasks, { running: 1, queued: 2 });
    assert.equal(hostHealth.parse(info.health()).reason, 'building images');
    phase = { status: 'ok' };
    assert.equal(hostHealth.parse(info.health()).reason, report.reason);
    assert.equal((await info.maintain()).status, 'ok');
  });
});
