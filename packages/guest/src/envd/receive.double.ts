import { writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** `receive.c` for tests: as many bytes as the argument says from descriptor 3 to descriptor 1, with the same exit statuses. */
let left = Number(process.argv[2]);
const connection = new Socket({ fd: 3, writable: false });
connection.on('data', (chunk: Buffer) => {
  for (let at = 0; at < chunk.length;) at += writeSync(1, chunk, at);
  left -= chunk.length;
  if (left <= 0) process.exit(0);
});
connection.on('close', () => process.exit(255));
connection.on('error', () => process.exit(255));
