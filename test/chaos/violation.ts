/** Something that the product promises was found not to be so. */
export class Violation extends Error {
  override readonly name = 'Violation';
}
