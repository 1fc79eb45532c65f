import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { completion, Daemon, patience } from './harness.ts';

suite('many boxes on one host', { timeout: 4 * patience }, () => {
  test('six boxes at once, each with its own files, process and address', async () => {
    await using daemon = await Daemon.start();
    const users = ['one', 'two', 'three', 'four', 'five', 'six'];
    const made = await Promise.all(users.map((user, index) => daemon.create(user, index < 2 ? 'claude-agent' : 'python')));
    assert.equal(new Set(made.map((box) => box.pid)).size, users.length);
    assert.equal(new Set(made.map((box) => box.vm_ip)).size, users.length);
    const { boxes } = await daemon.json<{ boxes: { id: string; user_id: string }[] }>('GET', '/v1/boxes');
    await Promise.all(
      boxes.map(async (box) => {
        const written = await daemon.call('POST', `/v1/boxes/${box.id}/exec`, { command: `echo "I belong to ${box.user_id}" > mine.txt` });
        assert.match(await written.text(), /"exit_code":0/);
      }),
    );
    await Promise.all(
      users.map(async (user) => {
        const found = await daemon.call('GET', `/download_file?user_id=${user}&filename=mine.txt`);
        assert.equal(await found.text(), `I belong to ${user}\n`);
        const { files } = await daemon.json<{ files: { path: string }[] }>('GET', `/list_workspace_files?user_id=${user}`);
        assert.deepEqual(
          files.map((file) => file.path),
          ['mine.txt'],
        );
      }),
    );
    const outcomes = await Promise.all(['one', 'two'].map((user) => daemon.task(user, 'Create a Python script that prints hello world')));
    for (const events of outcomes)
      assert.equal(completion(events).outcome, 'done', JSON.stringify(events.filter(({ type }) => !type.endsWith('_delta'))));
  });

  test('too many boxes for the machine are refused with 503 and Retry-After', async () => {
    await using daemon = await Daemon.start({ CITB_MAX_BOXES: '1' });
    await daemon.create('first', 'bash');
    const refused = await daemon.call('POST', '/create_microvm', { user_id: 'second', runtime: 'bash' });
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    assert.equal(((await refused.json()) as { error: { code: string } }).error.code, 'host_full');
    await daemon.kill('first');
    assert.equal((await daemon.create('second', 'bash')).status, 'created');
  });
});
