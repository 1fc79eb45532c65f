import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { access, readdir, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { limits } from '@citb/api';
import { identify, isAlive } from './process.ts';
import type { Vm, Vmm, VmRecord, VmSpec } from './vmm.ts';

/** Every machine of the suite forwards it. */
export const contractPort = 49983;
/** Generous: it only ends what hangs. */
const patienceMs = 180_000;

/**
 * What the suite runs on. Its machines say `up` on their console and answer lines, one a connection, on every port:
 * `ping` -> `pong`; `set WORD` -> `ok`; `get` -> the word; `say WORDS` -> `ok`, and the words on the console;
 * `flood` -> `ok`, and no end of console output; `deaf` -> `ok`, and the power button does nothing any more; `off`: powers itself off.
 */
export interface VmmSubject {
  readonly dataDir: string;
  /** A driver object as a new daemon makes it. */
  create(): Vmm;
  /** A machine of its own: fresh run id, folder in the data directory, address, private disk. */
  spec(): Promise<VmSpec>;
  /** An ES module that boots the spec given as JSON in its last argument, waits until {@link readConsole} has `up`, prints the record as JSON, and kills itself with SIGKILL. */
  readonly bootAndDie: string;
}

/** Runs the contract of {@link Vmm}; the same on every driver. */
export function vmmContract(name: string, setup: () => Promise<VmmSubject>): void {
  suite(`the Vmm contract: ${name}`, { timeout: 15 * 60_000 }, () => {
    let subject: VmmSubject;
    let vmm: Vmm;
    before(async () => {
      subject = await setup();
      vmm = subject.create();
    });
    after(async () => {
      for (const record of await vmm.list(subject.dataDir)) await vmm.reap(record);
      await rm(subject.dataDir, { recursive: true, force: true });
    });

    test('says what it can do here', async () => {
      const report = await vmm.probe();
      assert.equal(report.usable, true, report.reason);
      assert.notEqual(report.reason, '');
    });

    test('boots a machine that answers, and tells when it powers itself off', async () => {
      const vm = await vmm.boot(await subject.spec());
      await using machines = new AsyncDisposableStack();
      machines.defer(() => vm.kill());
      assert.equal(await ask(vm, 'ping'), 'pong');
      assert.ok((await vm.memoryUsed()) > 0);
      await say(vm, 'off');
      const exit = await within(vm.exited);
      assert.deepEqual(exit, { code: 0, signal: undefined, expected: false });
      assert.equal(await vm.memoryUsed(), 0);
    });

    test('a kill is expected, final, and may be repeated', async () => {
      const spec = await subject.spec();
      const vm = await vmm.boot(spec);
      await Promise.all([vm.kill(), vm.kill()]);
      await vm.kill();
      assert.equal((await vm.exited).expected, true);
      assert.equal(isAlive(vm.record), false);
      await assert.rejects(vm.dial(contractPort), { code: 'ECONNREFUSED' });
    });

    test('a stop lets the guest shut down; one that does not is ended after the grace', async () => {
      const polite = await vmm.boot(await subject.spec());
      await using machines = new AsyncDisposableStack();
      machines.defer(() => polite.kill());
      await ask(polite, 'ping');
      await within(polite.stop(patienceMs));
      assert.deepEqual(await polite.exited, { code: 0, signal: undefined, expected: true });

      const deaf = await vmm.boot(await subject.spec());
      machines.defer(() => deaf.kill());
      await ask(deaf, 'deaf');
      await within(deaf.stop(300));
      assert.deepEqual(await deaf.exited, { code: undefined, signal: 'SIGKILL', expected: true });
    });

    test('a dial that is aborted, or finds nobody, fails', async () => {
      const spec = await subject.spec();
      const vm = await vmm.boot(spec);
      await using machines = new AsyncDisposableStack();
      machines.defer(() => vm.kill());
      await assert.rejects(vm.dial(contractPort, AbortSignal.abort(new Error('changed my mind'))), /changed my mind/);
      await assert.rejects(vm.dial(1), { code: 'ECONNREFUSED' });
    });

    test('a machine outlives the daemon that booted it and is adopted by the next one', async () => {
      const spec = await subject.spec();
      const record = await bootElsewhere(subject.bootAndDie, spec);
      const vm = await subject.create().adopt(spec, record);
      assert.ok(vm);
      await using machines = new AsyncDisposableStack();
      machines.defer(() => vm.kill());
      assert.deepEqual(vm.record, record);
      assert.match(vm.console(), /\bup\b/, 'what the earlier daemon heard is there');
      assert.equal(await ask(vm, 'ping'), 'pong');
      await ask(vm, 'say adopted');
      await until('the console has the words', () => vm.console().includes('adopted'));
      process.kill(record.pid, 'SIGKILL');
      assert.equal((await within(vm.exited)).expected, false);
    });

    test('a dead machine, and a process that only has its pid, are not adopted', async () => {
      const spec = await subject.spec();
      const vm = await vmm.boot(spec);
      await vm.kill();
      assert.equal(await vmm.adopt(spec, vm.record), undefined);
      const self = identify(process.pid);
      assert.ok(self);
      const stale: VmRecord = { ...vm.record, pid: self.pid, bootId: self.bootId };
      assert.equal(await vmm.adopt(spec, stale), undefined);
      await vmm.reap(stale);
    });

    test('every machine of the data directory is listed, and reaped by its record', async () => {
      const spec = await subject.spec();
      const vm = await vmm.boot(spec);
      await using machines = new AsyncDisposableStack();
      machines.defer(() => vm.kill());
      const other = subject.create();
      assert.deepEqual(await other.list(subject.dataDir), [vm.record]);
      assert.deepEqual(await other.list(`${subject.dataDir}-other`), []);
      await other.reap(vm.record);
      assert.equal((await within(vm.exited)).expected, false);
      assert.deepEqual(await other.list(subject.dataDir), []);
      await other.reap(vm.record);
    });

    test('a paused machine is silent and goes on where it was', async () => {
      const vm = await vmm.boot(await subject.spec());
      await using machines = new AsyncDisposableStack();
      machines.defer(() => vm.kill());
      await ask(vm, 'set kept');
      await vm.pause();
      await vm.pause();
      assert.equal(await answer(vm, 'get', 500), undefined);
      await vm.resume();
      await vm.resume();
      assert.equal(await ask(vm, 'get'), 'kept');
    });

    test('a snapshot is a second machine with a memory of its own', async () => {
      const [spec, cloneSpec] = [await subject.spec(), await subject.spec()];
      const folder = join(subject.dataDir, 'snapshot');
      const first = await vmm.boot(spec);
      await using machines = new AsyncDisposableStack();
      machines.defer(() => first.kill());
      await ask(first, 'set early');
      await assert.rejects(first.snapshot(folder), /paused/);
      await first.pause();
      const snapshot = await first.snapshot(folder);
      await first.resume();
      await ask(first, 'set late');
      const second = await subject.create().restore(cloneSpec, snapshot);
      machines.defer(() => second.kill());
      assert.equal(await ask(second, 'get'), 'early');
      await ask(second, 'set own');
      assert.equal(await ask(first, 'get'), 'late');

      // And once more from the clone: pausing is not a thing that works only once.
      await second.pause();
      const again = await second.snapshot(join(subject.dataDir, 'snapshot-2'));
      await second.kill();
      // Told of before it runs, when it can still be refused.
      const told: VmRecord[] = [];
      const refusal = vmm.restore(await subject.spec(), again, undefined, () => assert.fail('not yet'));
      await assert.rejects(refusal, /not yet/);
      const third = await vmm.restore(await subject.spec(), again, undefined, (record) => void told.push(record));
      machines.defer(() => third.kill());
      assert.equal(await ask(third, 'get'), 'own');
      assert.deepEqual(told, [third.record]);
      assert.equal((await vmm.list(subject.dataDir)).length, 2);
    });

    test('many machines begin from one snapshot, outlive it, and can be saved themselves', async () => {
      const folder = join(subject.dataDir, 'template');
      const first = await vmm.boot(await subject.spec());
      await using machines = new AsyncDisposableStack();
      machines.defer(() => first.kill());
      await ask(first, 'set template');
      await first.pause();
      const template = await first.snapshot(folder, true);
      await first.kill();
      const clones = await Promise.all([1, 2, 3].map(async () => vmm.restore(await subject.spec(), template)));
      for (const clone of clones) machines.defer(() => clone.kill());
      await rm(folder, { recursive: true });
      const words = await Promise.all(
        clones.map(async (clone, index) => {
          assert.equal(await ask(clone, 'get'), 'template');
          await ask(clone, `set ${index}`);
          await clone.pause();
          const own = await clone.snapshot(join(subject.dataDir, `own-${index}`));
          await clone.kill();
          const again = await vmm.restore(await subject.spec(), own);
          machines.defer(() => again.kill());
          return ask(again, 'get');
        }),
      );
      assert.deepEqual(words, ['0', '1', '2']);
    });

    test('a snapshot that does not fit or is damaged is refused, and nothing is left', async () => {
      const spec = await subject.spec();
      const folder = join(subject.dataDir, 'snapshot-3');
      const vm = await vmm.boot(spec);
      await using machines = new AsyncDisposableStack();
      machines.defer(() => vm.kill());
      await ask(vm, 'ping');
      await vm.pause();
      const snapshot = await vm.snapshot(folder);
      await vm.kill();
      const larger = { ...(await subject.spec()), machine: { ...spec.machine, memoryMib: spec.machine.memoryMib + 64 } };
      await assert.rejects(vmm.restore(larger, snapshot), /snapshot/);
      for (const file of await readdir(folder)) await truncate(join(folder, file), 10);
      await assert.rejects(vmm.restore(await subject.spec(), snapshot), /damaged/);
      assert.deepEqual(await vmm.list(subject.dataDir), []);
    });

    test('a boot that fails or is given up leaves nothing', async () => {
      const spec = await subject.spec();
      const missing = join(spec.folder, 'no-such-disk');
      await assert.rejects(vmm.boot({ ...spec, drives: [{ path: missing, readOnly: false }] }), /no-such-disk/);
      await assert.rejects(vmm.boot({ ...spec, folder: `${spec.folder}/${'x'.repeat(100)}` }), /path/);
      await assert.rejects(vmm.boot(spec, AbortSignal.abort(new Error('given up'))), /given up/);
      const soon = AbortSignal.timeout(30);
      await vmm.boot(spec, soon).then(
        (vm) => vm.kill(),
        () => {},
      );
      assert.deepEqual(await vmm.list(subject.dataDir), []);
      await assert.rejects(access(join(spec.folder, 'vm')), { code: 'ENOENT' });
    });

    test('two machines do not get the same address', async () => {
      const spec = await subject.spec();
      const vm = await vmm.boot(spec);
      await using machines = new AsyncDisposableStack();
      machines.defer(() => vm.kill());
      await assert.rejects(vmm.boot({ ...(await subject.spec()), network: spec.network }), /address|forward/i);
      assert.deepEqual(await vmm.list(subject.dataDir), [vm.record]);
    });

    test('a guest that floods its console stalls nobody and fills nothing', async () => {
      const vm = await vmm.boot(await subject.spec());
      await using machines = new AsyncDisposableStack();
      machines.defer(() => vm.kill());
      let heard = 0;
      const stop = vm.onConsole((piece) => (heard += piece.length));
      await ask(vm, 'flood');
      await until('more than is kept has come', () => heard > limits.consoleBytes * 1.1);
      stop();
      assert.ok(Buffer.byteLength(vm.console()) <= limits.consoleBytes);
      assert.ok(Buffer.byteLength(vm.console()) > limits.consoleBytes / 2);
      assert.equal(await ask(vm, 'ping'), 'pong');
      await within(vm.kill());
    });
  });
}

/** Asks until an answer comes: a machine that boots does not answer yet. */
async function ask(vm: Vm, line: string): Promise<string> {
  const end = Date.now() + patienceMs;
  for (let wait = 500; ; wait *= 2) {
    const answered = await answer(vm, line, wait);
    if (answered !== undefined) return answered;
    if (Date.now() > end) assert.fail(`no answer to ${line}; the console ends with ${vm.console().slice(-500)}`);
    await delay(50);
  }
}

async function say(vm: Vm, line: string): Promise<void> {
  await answer(vm, line, 20_000);
}

/** Undefined when none comes in time, or the connection is reset. */
async function answer(vm: Vm, line: string, ms: number): Promise<string | undefined> {
  try {
    const stream = await vm.dial(contractPort);
    const late = setTimeout(() => stream.destroy(), ms);
    stream.on('error', () => {});
    stream.write(`${line}\n`);
    const answered = await text(stream).catch(() => '');
    clearTimeout(late);
    return answered.trim() || undefined;
  } catch {
    return undefined;
  }
}

async function bootElsewhere(program: string, spec: VmSpec): Promise<VmRecord> {
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', program, JSON.stringify(spec)]);
  const { stdout } = await run.catch((error: { signal?: string; stdout: string; stderr: string }) => {
    assert.equal(error.signal, 'SIGKILL', error.stderr);
    return error;
  });
  return JSON.parse(stdout) as VmRecord;
}

async function until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + patienceMs;
  while (!(await done())) {
    if (Date.now() > end) assert.fail(`waited ${patienceMs} ms until ${what}`);
    await delay(50);
  }
}

/** A deadline, which also keeps the event loop alive: a VM's handle does not. */
async function within<T>(promise: Promise<T>): Promise<T> {
  const late = new AbortController();
  const timeout = delay(patienceMs, undefined, { signal: late.signal }).then(() => assert.fail(`waited ${patienceMs} ms`));
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    late.abort();
    timeout.catch(() => {});
  }
}
