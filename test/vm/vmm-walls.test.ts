import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, chmod, chown, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { uidOfAddress } from '@citb/host/vmm/qemu/isolation.ts';
import type { Vm, Vmm, VmmReport, VmSpec } from '@citb/host/vmm/vmm.ts';
import { until } from './harness.ts';
import { type LineMachines, prepareLineMachines, shell } from './line-machines.ts';

const asRoot = process.getuid?.() === 0;

suite('the walls around a box', { timeout: 10 * 60_000 }, () => {
  let machines: LineMachines;
  let vmm: Vmm;
  let report: VmmReport;
  let spec: VmSpec;
  let vm: Vm;
  const broker = createServer((socket) => socket.on('error', () => socket.destroy()).end('the broker\n'));

  before(async () => {
    machines = await prepareLineMachines();
    vmm = machines.create();
    report = await vmm.probe();
    spec = await machines.spec();
    assert.ok(spec.brokerSocket);
    broker.listen(spec.brokerSocket);
    await once(broker, 'listening');
    await chmod(spec.brokerSocket, 0o600);
    if (report.isolation.uid) await chown(spec.brokerSocket, uidOfAddress(spec.network.address), -1);
    vm = await vmm.boot(spec);
    await until('the guest answers', () => shell(vm, 'echo up').catch(() => undefined));
  });
  after(async () => {
    broker.close();
    await vm.kill();
    await rm(machines.dataDir, { recursive: true, force: true });
  });

  test('the broker answers, each time it is called', async () => {
    const talk = 'for i in 1 2 3; do timeout 30 nc 10.0.2.100 80 < /dev/null; done';
    assert.equal(await shell(vm, talk), 'the broker\n'.repeat(3));
  });

  test('nothing else does: not the host, not its loopback, not the world, not a name server', async () => {
    const host = createServer((socket) => socket.end('the host\n'));
    host.listen(0, '0.0.0.0');
    await once(host, 'listening');
    const { port } = host.address() as { port: number };
    try {
      for (const address of [`10.0.2.2 ${port}`, `127.0.0.1 ${port}`, '10.0.2.100 443', '169.254.169.254 80', '1.1.1.1 443']) {
        assert.doesNotMatch(await shell(vm, `timeout 3 nc ${address} < /dev/null 2>&1`), /the (host|broker)|SSH/, address);
      }
      assert.match(await shell(vm, 'timeout 3 nslookup example.com 10.0.2.3 > /dev/null 2>&1; echo $?'), /^[1-9]/);
    } finally {
      host.close();
    }
  });

  test('QEMU has a uid of its own, no capabilities, and a system call filter', { skip: !asRoot }, async () => {
    const uid = uidOfAddress(spec.network.address);
    const status = await readFile(`/proc/${vm.record.pid}/status`, 'utf8');
    assert.match(status, new RegExp(`^Uid:(\\s+${uid}){4}$`, 'm'));
    assert.match(status, new RegExp(`^Gid:(\\s+${uid}){4}$`, 'm'));
    assert.match(status, /^CapEff:\s+0+$/m);
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    assert.match(status, /^Seccomp:\s+2$/m);
    const folder = await stat(spec.folder);
    assert.equal(folder.uid, 0);
    assert.equal(folder.mode & 0o777, 0o710, 'other boxes do not come to the sockets in it');
  });

  test('the end of QEMU takes its control groups and sockets with it', async () => {
    const other = await vmm.boot(await machines.spec());
    const groups = (await readFile(`/proc/${other.record.pid}/cgroup`, 'utf8')).split('\n').filter((line) => line.includes('/citb/'));
    assert.equal(groups.length > 0, report.isolation.cgroup !== 'none');
    const { folder, runId } = other.record;
    process.kill(other.record.pid, 'SIGKILL');
    let over = false;
    void other.exited.finally(() => (over = true));
    await until('the end is noticed', () => over);
    await assert.rejects(access(join(folder, 'vm')), { code: 'ENOENT' });
    for (const root of ['/sys/fs/cgroup', '/sys/fs/cgroup/memory', '/sys/fs/cgroup/pids', '/sys/fs/cgroup/cpu']) {
      await assert.rejects(access(join(root, 'citb', runId)), { code: 'ENOENT' });
    }
  });
});
