/** What went wrong with a virtual machine, in words for the operator. */
export class VmmError extends Error {
  override readonly name = 'VmmError';
}
