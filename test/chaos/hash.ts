import { createHash } from 'node:crypto';

/** SHA-256, hexadecimal. */
export function hashOf(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
