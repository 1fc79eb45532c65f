import type { Addresses } from './ports.ts';

/** Gives addresses to boxes, one box after the other: two that look for a free one at the same time would find the same. */
export class AddressBook {
  readonly #addresses: Addresses;
  #turn: Promise<void> = Promise.resolve();

  constructor(addresses: Addresses) {
    this.#addresses = addresses;
  }

  /**
   * @param taken addresses that other boxes have; asked when it is this box's turn
   * @param commit writes the address down before the next box's turn
   */
  async assign<T>(
    preferred: string | undefined,
    taken: () => ReadonlySet<string>,
    commit: (address: string) => T | Promise<T>,
  ): Promise<T> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      return await commit(await this.#addresses.take(preferred, taken()));
    } finally {
      resolve();
    }
  }
}
