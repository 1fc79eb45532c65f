import { createHash } from 'node:crypto';

/** SHA-256, hexadecimal. */
export function hashOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** So many bytes that a number decides. */
export function contentOf(bytes: number, seed: number): Buffer {
  return Buffer.alloc(bytes, createHash('sha256').update(String(seed)).digest());
}
