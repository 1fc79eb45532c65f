import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { suite, test } from 'node:test';
import { boxPaths } from '../boxes/names.ts';
import { Testbed } from '../boxes/testbed.ts';
import { checkpointDaemon } from '../checkpoints/testbed.ts';
import type { Transfer } from '../services.ts';
import { createTransfer } from './transfer.ts';
import { uploadKeptMs } from './uploads.ts';

const code = (expected: string) => ({ name: 'ApiError', code: expected });
const never = new AbortController().signal;
const broken = new Error('the connection broke');

function room(bed: Testbed, limits = {}) {
  const { daemon, parts } = checkpointDaemon(bed, {}, limits);
  return { daemon, ...createTransfer(parts) };
}

async function exported({ daemon, transfer }: ReturnType<typeof room>): Promise<Buffer> {
  const { box } = await daemon.boxes.create({ userId: 'ada', runtime: 'bash', envVars: {}, diskMib: 64 });
  truncateSync(boxPaths(daemon.parts.settings.dataDir, box.id).disk, 64 * 1024 * 1024);
  const { id } = await transfer.prepare(box.id);
  return await buffer((await transfer.read(id, undefined)).body);
}

/** Sends a part of a file. */
const put = ({ uploads }: Transfer, id: string, file: Buffer, from: number, to = file.length) =>
  uploads.append(id, from, Readable.from([file.subarray(from, to)]), never);

suite('imports that can be resumed', () => {
  test('a file that comes in pieces, over a broken connection and a new daemon, becomes a box with its key', async () => {
    using bed = new Testbed();
    const first = room(bed);
    const file = await exported(first);
    const { id, offset } = await first.transfer.uploads.begin();
    assert.equal(offset, 0);
    assert.equal((await put(first.transfer, id, file, 0, 100)).offset, 100);
    const body = Readable.from(
      (async function* () {
        yield file.subarray(100, 200);
        throw broken;
      })(),
    );
    await assert.rejects(first.transfer.uploads.append(id, 100, body, never), broken);
    const { offset: arrived } = await first.transfer.uploads.get(id);
    assert.ok(arrived >= 100 && arrived <= 200, 'what came before the break stays');
    await assert.rejects(put(first.transfer, id, file, arrived + 1), code('import_offset'));
    await assert.rejects(put(first.transfer, id, file, 0), code('import_offset'));

    await first.daemon.close();
    const next = room(bed);
    await next.recover();
    assert.equal((await put(next.transfer, id, file, arrived)).offset, file.length);
    const request = { userId: 'eve', envVars: { ANTHROPIC_API_KEY: 'sk-of-eve', COLOUR: 'red' } };
    const box = await next.transfer.uploads.finish(id, request);
    assert.deepEqual([box.state, box.user_id, box.runtime], ['stopped', 'eve', 'bash']);
    assert.deepEqual(next.daemon.rows.secrets(box.id).envVars, { COLOUR: 'red' });
    assert.equal(next.daemon.modelKeys.forBox(box.id), 'sk-of-eve');
    assert.deepEqual(readdirSync(join(bed.dataDir, 'uploads')), []);
    assert.equal((await next.transfer.uploads.finish(id, request)).id, box.id, 'an answer that was lost may be asked for again');
    await assert.rejects(next.transfer.uploads.finish(id, { userId: 'bob' }), code('idempotency_conflict'));
    await assert.rejects(next.transfer.uploads.get(id), code('import_not_found'));
    await next.daemon.boxes.kill(box.id);
    await assert.rejects(next.transfer.uploads.finish(id, request), code('box_killed'));
  });

  test('a piece whose connection hangs is ended by the next one', async () => {
    using bed = new Testbed();
    const { transfer } = room(bed);
    const { id } = await transfer.uploads.begin();
    const hanging = new PassThrough();
    hanging.write('abc');
    const first = transfer.uploads.append(id, 0, hanging, never);
    const ended = assert.rejects(first, code('import_offset'));
    for (const end = performance.now() + 20_000; (await transfer.uploads.get(id)).offset < 3;) assert.ok(performance.now() < end);
    assert.equal((await put(transfer, id, Buffer.from('abcdef'), 3)).offset, 6);
    await ended;
  });

  test('many finish at once: one box', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const file = await exported(it);
    const { id } = await it.transfer.uploads.begin();
    await put(it.transfer, id, file, 0);
    const boxes = await Promise.all(Array.from({ length: 5 }, () => it.transfer.uploads.finish(id, {})));
    assert.equal(new Set(boxes.map((box) => box.id)).size, 1);
    assert.equal(it.daemon.rows.count(), 2);
  });

  test('what is not intact goes; what cannot be done now may be tried again', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const file = await exported(it);
    const whole = await it.transfer.uploads.begin();
    await put(it.transfer, whole.id, file, 0);
    await assert.rejects(it.transfer.uploads.finish(whole.id, { userId: 'ada' }), code('box_exists'));
    assert.equal((await it.transfer.uploads.finish(whole.id, { userId: 'eve' })).user_id, 'eve');
    for (const bytes of [file.subarray(0, file.length - 2048), randomBytes(5000), Buffer.alloc(0)]) {
      const { id } = await it.transfer.uploads.begin();
      await put(it.transfer, id, bytes, 0);
      await assert.rejects(it.transfer.uploads.finish(id, {}), code('import_invalid'));
      await assert.rejects(it.transfer.uploads.get(id), code('import_not_found'));
    }
    await assert.rejects(it.transfer.uploads.finish('imp_000000000000', {}), code('import_not_found'));
  });

  test('a file that cannot be opened fails its request alone, which may be made again', async () => {
    using bed = new Testbed();
    const it = room(bed);
    const file = await exported(it);
    const { id } = await it.transfer.uploads.begin();
    const path = join(bed.dataDir, 'uploads', `${id}.part`);
    rmSync(path);
    // A socket is what not even root can open.
    const socket = createServer().listen(path).unref();
    await once(socket, 'listening');
    await assert.rejects(it.transfer.uploads.finish(id, { userId: 'eve' }), { code: 'ENXIO' });
    socket.close();
    writeFileSync(path, file);
    assert.equal((await it.transfer.uploads.finish(id, { userId: 'eve' })).user_id, 'eve');
  });

  test('their number and size are bounded; what nobody goes on with goes a day after its last byte', async () => {
    using bed = new Testbed();
    bed.now = Date.now();
    const it = room(bed);
    const ids: string[] = [];
    for (let n = 0; n < 16; n += 1) ids.push((await it.transfer.uploads.begin()).id);
    await assert.rejects(it.transfer.uploads.begin(), code('import_limit'));
    await it.transfer.uploads.remove(ids[0] ?? '');
    await assert.rejects(it.transfer.uploads.remove(ids[0] ?? ''), code('import_not_found'));
    await it.transfer.uploads.begin();
    bed.now += uploadKeptMs - 60_000;
    await it.prune();
    assert.equal(readdirSync(join(bed.dataDir, 'uploads')).length, 16);
    bed.now += 120_000;
    await it.prune();
    assert.deepEqual(readdirSync(join(bed.dataDir, 'uploads')), []);

    const { id } = await it.transfer.uploads.begin();
    const full = room(bed, { diskReserveMib: 2 ** 40 });
    await assert.rejects(put(full.transfer, id, Buffer.from('x'), 0), code('host_disk_full'));
    await assert.rejects(full.transfer.uploads.begin(), code('host_disk_full'));
  });

  test('a daemon that ends while a box appears: the import is there, or the box is, never two boxes', async () => {
    using bed = new Testbed();
    const first = room(bed);
    const file = await exported(first);
    const { id } = await first.transfer.uploads.begin();
    await put(first.transfer, id, file, 0);
    const box = await first.transfer.uploads.finish(id, {});
    // As if this daemon had ended before the file was removed.
    writeFileSync(join(bed.dataDir, 'uploads', `${id}.part`), file);
    const next = room(bed);
    assert.equal((await next.transfer.uploads.finish(id, {})).id, box.id);
    assert.equal(next.daemon.rows.count(), 2);
  });
});
