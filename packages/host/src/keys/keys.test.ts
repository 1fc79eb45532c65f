import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { Store } from '../store.ts';
import { apiKeyFile, loadApiKey } from './api-key.ts';
import { readOrMakeKeyFile } from './key-file.ts';
import { SealedModelKeys } from './model-keys.ts';
import { Seal } from './sealed.ts';

const folder = mkdtempSync(join(tmpdir(), 'citb-keys-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const secret = 'ab'.repeat(32);

suite('key files', () => {
  test('a key file is made once, readable by its owner only, and leaves nothing else behind', () => {
    const path = join(folder, 'one');
    const first = readOrMakeKeyFile(path, 32);
    assert.match(first, /^[0-9a-f]{64}$/);
    assert.equal(readOrMakeKeyFile(path, 32), first);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    chmodSync(path, 0o644);
    readOrMakeKeyFile(path, 32);
    assert.equal(statSync(path).mode & 0o777, 0o600, 'a mode that was lost is put right');
    assert.deepEqual(readdirSync(folder), ['one']);
  });

  test('an empty key file is refused, not replaced', () => {
    const path = join(folder, 'empty');
    writeFileSync(path, '\n');
    assert.throws(() => readOrMakeKeyFile(path, 32), /is empty/);
  });
});

suite('sealed secrets', () => {
  test('open only with the same key, in the same place, unchanged', () => {
    const seal = new Seal(secret);
    const sealed = seal.seal('sk-ant-secret', 'box_1/model-key');
    assert.equal(seal.open(sealed, 'box_1/model-key'), 'sk-ant-secret');
    assert.throws(() => seal.open(sealed, 'box_2/model-key'));
    assert.throws(() => new Seal('cd'.repeat(32)).open(sealed, 'box_1/model-key'));
    const changed = Uint8Array.from(sealed);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    assert.throws(() => seal.open(changed, 'box_1/model-key'));
    assert.throws(() => seal.open(sealed.subarray(0, 20), 'box_1/model-key'));
    assert.throws(() => new Seal('short'), /damaged/);
  });

  test("a box's own model key goes before the host's and is nowhere in the database file", () => {
    const path = join(folder, 'store.db');
    const store = new Store(path);
    const keys = new SealedModelKeys(store, new Seal(secret), 'sk-host');
    assert.equal(keys.forBox('box_1'), 'sk-host');
    keys.set('box_1', 'sk-ant-very-secret');
    keys.set('box_1', 'sk-ant-very-secret-2');
    assert.equal(keys.forBox('box_1'), 'sk-ant-very-secret-2');
    assert.equal(keys.forBox('box_2'), 'sk-host');
    for (const file of readdirSync(folder).filter((name) => name.startsWith('store.db')))
      assert.equal(readFileSync(join(folder, file)).includes('sk-ant-very-secret'), false, file);
    keys.forget('box_1');
    assert.equal(keys.forBox('box_1'), 'sk-host');
    store.close();
  });
});

suite('the API key', () => {
  test('from the environment: that key and no other', () => {
    const key = loadApiKey('correct horse', folder);
    assert.equal(key.origin, 'CITB_API_KEY');
    assert.equal(key.check('correct horse'), true);
    for (const wrong of [undefined, '', 'correct hors', 'correct horse ']) assert.equal(key.check(wrong), false);
  });

  test('without one a key is made in the data directory and stays the same', () => {
    const key = loadApiKey(undefined, folder);
    assert.equal(key.origin, apiKeyFile(folder));
    const text = readFileSync(apiKeyFile(folder), 'utf8').trim();
    assert.equal(key.check(text), true);
    assert.equal(loadApiKey(undefined, folder).check(text), true);
  });
});
