import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';

const ivBytes = 12;
const tagBytes = 16;

/**
 * Secrets at rest: AES-256-GCM under a key that lies in a file of its own, so that a copy of the database alone tells nothing.
 * Each text is bound to its `place` (`box_1/model-key`): a sealed text moved to another row does not open.
 */
export class Seal {
  readonly #key: Buffer;
  readonly #fingerprintKey: Buffer;

  /** @param secret of the key file: at least 32 bytes of chance as hex */
  constructor(secret: string) {
    const material = Buffer.from(secret, 'hex');
    if (material.length < 32) throw new Error('the seal key is damaged: it must be at least 64 hexadecimal digits');
    this.#key = Buffer.from(hkdfSync('sha256', material, '', 'citb seal', 32));
    this.#fingerprintKey = Buffer.from(hkdfSync('sha256', material, '', 'citb fingerprint', 32));
  }

  /** iv, tag and ciphertext as one. */
  seal(text: string, place: string): Uint8Array {
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv).setAAD(Buffer.from(place));
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), body]);
  }

  /** @throws when the text was not sealed by this key for this place, or was changed */
  open(sealed: Uint8Array, place: string): string {
    const iv = sealed.subarray(0, ivBytes);
    const tag = sealed.subarray(ivBytes, ivBytes + tagBytes);
    const decipher = createDecipheriv('aes-256-gcm', this.#key, iv, { authTagLength: tagBytes }).setAAD(Buffer.from(place)).setAuthTag(tag);
    return Buffer.concat([decipher.update(sealed.subarray(ivBytes + tagBytes)), decipher.final()]).toString('utf8');
  }

  /** A keyed hash: equal texts are seen to be equal, but a text with a secret in it cannot be guessed from it. */
  fingerprint(text: string): string {
    return createHmac('sha256', this.#fingerprintKey).update(text).digest('hex');
  }
}
