import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { createAddresses } from './addresses.ts';

/** A port that nothing else on this machine uses at the addresses of boxes, and a listener on the first of them. */
async function occupied(): Promise<{ port: number; [Symbol.asyncDispose](): Promise<void> }> {
  const server = createServer().listen(0, '127.64.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

test('an address on which another process listens is passed over', async () => {
  await using other = await occupied();
  const addresses = createAddresses([other.port]);
  assert.equal(await addresses.take(undefined, new Set()), '127.64.0.2');
  assert.equal(await addresses.take('127.64.0.1', new Set()), '127.64.0.2');
});

test('a preferred address is kept, one that another box has is not given twice', async () => {
  await using other = await occupied();
  const addresses = createAddresses([other.port]);
  assert.equal(await addresses.take('127.64.3.7', new Set()), '127.64.3.7');
  assert.equal(await addresses.take('127.64.3.7', new Set(['127.64.3.7'])), '127.64.0.2');
  const many = new Set(Array.from({ length: 254 }, (_, index) => `127.64.0.${index + 2}`));
  assert.equal(await addresses.take(undefined, many), '127.64.1.0');
});
