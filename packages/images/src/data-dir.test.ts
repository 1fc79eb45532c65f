import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultDataDir } from './data-dir.ts';

test('the data directory is what is set, else the system’s for root, else the user’s', () => {
  assert.equal(defaultDataDir({ CITB_DATA_DIR: '/data' }, 0), '/data');
  assert.equal(defaultDataDir({ HOME: '/root' }, 0), '/var/lib/citb');
  assert.equal(defaultDataDir({ HOME: '/home/a', XDG_DATA_HOME: '/home/a/xdg' }, 1000), '/home/a/xdg/citb');
  assert.equal(defaultDataDir({ HOME: '/home/a' }, 1000), '/home/a/.local/share/citb');
});
