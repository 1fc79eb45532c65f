import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { ConfigError, environment, readConfig } from './config.ts';

suite('the environment of the host', () => {
  test('nothing set: loopback, port 8080, a key of its own, nothing oversubscribed', () => {
    const config = readConfig({ HOME: '/home/ada', XDG_DATA_HOME: '/data' });
    assert.equal(config.host, '127.0.0.1');
    assert.equal(config.port, 8080);
    assert.equal(config.apiKey, undefined);
    assert.equal(config.memoryOversubscription, 1);
    assert.equal(config.anthropicBaseUrl, 'https://api.anthropic.com');
  });

  test('each setting is in the operator’s table, and no other', () => {
    const page = readFileSync(new URL('../../../docs/operating.md', import.meta.url), 'utf8');
    const rows = page.split('\n').filter((line) => line.startsWith('| `'));
    const told = rows.flatMap((row) => row.split('|')[1]?.match(/[A-Z][A-Z_]+[A-Z]/g) ?? []);
    assert.deepEqual(told.toSorted(), [...Object.keys(environment.shape), 'CITB_DATA_DIR'].toSorted());
  });

  test('an empty variable counts as not set', () => {
    assert.equal(readConfig({ CITB_PORT: '', CITB_API_KEY: '' }).port, 8080);
  });

  test('everybody who can reach the host needs a key', () => {
    assert.throws(() => readConfig({ CITB_HOST: '0.0.0.0' }), /CITB_API_KEY must be set when CITB_HOST is 0\.0\.0\.0/);
    assert.equal(readConfig({ CITB_HOST: '0.0.0.0', CITB_API_KEY: 'a key of sixteen' }).host, '0.0.0.0');
    assert.equal(readConfig({ CITB_HOST: '::1' }).host, '::1');
  });

  test('each wrong setting is named, all in one go', () => {
    assert.throws(
      () =>
        readConfig({ CITB_PORT: 'http', CITB_DISK_MIB: '1', CITB_AUTO_CREATE: 'perhaps', CITB_API_KEY: 'short', CITB_HOST: 'example.org' }),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, /CITB_PORT must be a whole number\./);
        assert.match(error.message, /CITB_DISK_MIB must be at least 64\./);
        assert.match(error.message, /CITB_AUTO_CREATE must be 1 or 0/);
        assert.match(error.message, /CITB_API_KEY must have at least 16 characters/);
        assert.match(error.message, /CITB_HOST must be an IP address/);
        return true;
      },
    );
  });

  test('a data directory whose sockets would have too long names is refused at once', () => {
    assert.throws(() => readConfig({ CITB_DATA_DIR: `/${'x'.repeat(80)}` }), /too long/);
  });
});
