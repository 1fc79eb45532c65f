import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, suite, test } from 'node:test';
import { startScriptedModel, type ScriptedModel } from '@citb/testkit';
import type { KnownBox } from './box.ts';
import { checkContents } from './check/contents.ts';
import { leaksOf, SeenRuns } from './check/leaks.ts';
import { Client } from './client.ts';
import { commands } from './commands.ts';
import { Daemon } from './daemon.ts';
import { exec } from './exec.ts';
import { Lane } from './lane.ts';
import type { Operation } from './plan.ts';

const violation = (message: RegExp) => ({ name: 'Violation', message });

/** What the suite would be worth nothing without: it sees what is wrong. Each test does something behind its back. */
suite('the checker of the chaos suite finds', { timeout: 600_000 }, () => {
  let model: ScriptedModel;
  let daemon: Daemon;
  let client: Client;
  let lane: Lane;
  let box: KnownBox;
  let marks = 0;

  const task: Operation = { kind: 'task', box: 'first', mark: 'mark-a', background: false, words: 3, ms: 0 };
  const check = (): Promise<void> => checkContents(client, daemon.dataDir, box, `mark-check${marks++}`);
  const leaks = (): string[] => leaksOf(daemon.dataDir, daemon.pid, new Set([box.id]), new SeenRuns());

  before(async () => {
    model = await startScriptedModel({ port: 0 });
    daemon = await Daemon.start('double', model.url);
    client = new Client(daemon);
    lane = new Lane(client, daemon.dataDir, 'check', 0);
    await lane.perform({ kind: 'create', box: 'first', runtime: 'claude-agent' });
    await lane.perform({ kind: 'exec', box: 'first', path: 'a.txt', text: 'acknowledged' });
    await lane.perform({ kind: 'remember', box: 'first', word: 'remembered' });
    await lane.perform(task);
    const made = lane.boxes.get('first');
    assert.ok(made);
    box = made;
  });
  after(async () => {
    await lane.kill('first');
    await daemon[Symbol.asyncDispose]();
    await model.close();
  });

  test('nothing, where nothing is wrong', async () => {
    await check();
    assert.deepEqual(leaks(), []);
  });

  test('a file with another content', async () => {
    await exec(client, box.id, commands.write('a.txt', 'other'));
    await assert.rejects(check(), violation(/a\.txt has .* instead of/));
    await exec(client, box.id, commands.write('a.txt', 'acknowledged'));
  });

  test('a file that nobody put there', async () => {
    await exec(client, box.id, commands.write('b.txt', 'strange'));
    await assert.rejects(check(), violation(/b\.txt .* nobody put it there/));
    await client.ask('DELETE', `/v1/boxes/${box.id}/files/content?path=b.txt`);
  });

  test('a conversation in which a task is missing, or one that was never asked', async () => {
    const { worlds } = box.belief;
    box.belief.change((world) => ({ ...world, marks: [...world.marks, 'mark-lost'] }));
    await assert.rejects(check(), violation(/the conversation has lost mark-lost/));
    box.belief.change((world) => ({ ...world, marks: worlds[0]?.marks.filter((each) => each !== 'mark-a') ?? [], open: {} }));
    await assert.rejects(check(), violation(/the conversation has .*mark-a.*never asked/));
    box.belief.change((world) => ({ ...world, marks: [...world.marks, 'mark-a'], open: Object.fromEntries(marksSoFar(marks)) }));
    await check();
  });

  test('memory that is lost without a word', async () => {
    await exec(client, box.id, commands.remember('another'));
    await assert.rejects(check(), violation(/memory has "another" instead of "remembered"/));
    await exec(client, box.id, commands.remember('remembered'));
    box.belief.change((world) => ({ ...world, open: Object.fromEntries(marksSoFar(marks)) }));
    await check();
  });

  test('memory that is lost in a wake, though nothing but the host was killed', async () => {
    using database = new DatabaseSync(join(daemon.dataDir, 'host.db'), { timeout: 5000 });
    const seq = 1_000_000;
    database.prepare(`INSERT INTO box_events (box_id, seq, ts, type, content) VALUES (?, ?, 0, 'wake_failed', '{}')`).run(box.id, seq);
    await assert.rejects(check(), violation(/lost its memory in a wake/));
    database.prepare('DELETE FROM box_events WHERE box_id = ? AND seq = ?').run(box.id, seq);
    box.belief.change((world) => ({ ...world, open: Object.fromEntries(marksSoFar(marks)) }));
    await check();
  });

  test('events that are replayed otherwise than they were seen', async () => {
    const followed = box.tasks[0];
    const removed = followed?.seen.pop();
    await assert.rejects(check(), violation(/is replayed as/));
    if (removed !== undefined) followed?.seen.push(removed);
  });

  test('folders, temporary files, rows and processes that belong to no box', async () => {
    mkdirSync(join(daemon.dataDir, 'boxes', 'box_stray'));
    writeFileSync(join(daemon.dataDir, 'boxes', box.id, 'disk.img.new'), '');
    writeFileSync(join(daemon.dataDir, 'left.tmp'), '');
    assert.deepEqual(leaks().toSorted(), [
      `disk.img.new in the folder of ${box.id}`,
      'folders of boxes: box_stray belongs to nobody',
      'left.tmp in the data directory',
    ]);
    const unknown = leaksOf(daemon.dataDir, daemon.pid, new Set(), new SeenRuns());
    for (const table of ['rows of boxes:', 'rows of tasks', 'rows of box_events', 'folders of boxes:', 'socket '])
      assert.ok(
        unknown.some((leak) => leak.startsWith(table)),
        `${table} is not in ${unknown.join('; ')}`,
      );
  });
});

/** A recall leaves its own mark in the conversation. */
function marksSoFar(count: number): [string, string][] {
  return Array.from({ length: count }, (_, n) => [`mark-check${n}`, 'no file']);
}
