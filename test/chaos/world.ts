/** What a box holds, as far as the suite put it there. Files by SHA-256. */
export interface World {
  readonly files: Readonly<Record<string, string>>;
  /** Marks of the tasks that ended as done: the conversation has each of them once. */
  readonly marks: readonly string[];
  /** Marks of tasks of which it is open whether they were done, with the hash of the file that each brought. */
  readonly open: Readonly<Record<string, string>>;
  /** The word that only the memory of its machine has; null: there is none, the machine has booted. */
  readonly memory: string | null;
}

export const emptyWorld: World = { files: {}, marks: [], open: {}, memory: null };

/** What an operation would be answered in a world, and the world after it. */
export interface Step {
  readonly answer: string;
  readonly world: World;
}

export function taskFile(mark: string): string {
  return `${mark}.txt`;
}

/**
 * What may be in a box: one world, and more of them after operations that nobody answered, each of which happened wholly or not at all.
 */
export class Belief {
  #worlds: World[];

  constructor(worlds: readonly World[]) {
    this.#worlds = distinct(worlds);
  }

  get worlds(): readonly World[] {
    return this.#worlds;
  }

  /** An operation was answered. @returns false when no world would have answered so */
  answered(step: (world: World) => Step, answer: string): boolean {
    const after = this.#worlds.map(step).filter((each) => each.answer === answer);
    if (after.length > 0) this.#worlds = distinct(after.map(({ world }) => world));
    return after.length > 0;
  }

  /** An operation may have happened or not. */
  unanswered(step: (world: World) => Step): void {
    this.#worlds = distinct([...this.#worlds, ...this.#worlds.map((world) => step(world).world)]);
  }

  /** Something that is certain. */
  change(change: (world: World) => World): void {
    this.#worlds = distinct(this.#worlds.map(change));
  }

  /** Something that is possible. */
  allow(worlds: readonly World[]): void {
    this.#worlds = distinct([...this.#worlds, ...worlds]);
  }

  /** Only worlds that were found to be true go on. @returns false when none is */
  found(isTrue: (world: World) => boolean): boolean {
    const left = this.#worlds.filter(isTrue);
    if (left.length > 0) this.#worlds = left;
    return left.length > 0;
  }
}

/** A task ended as done: what it brought is there for good. */
export function done(world: World, mark: string): World {
  const file = world.open[mark];
  if (file === undefined) return world;
  const { [mark]: _, ...open } = world.open;
  return { ...world, open, marks: [...world.marks, mark].toSorted(), files: { ...world.files, [taskFile(mark)]: file } };
}

function distinct(worlds: readonly World[]): World[] {
  return [...new Map(worlds.map((world) => [keyOf(world), world])).values()];
}

function keyOf({ files, marks, open, memory }: World): string {
  return JSON.stringify([sorted(files), marks, sorted(open), memory]);
}

function sorted(record: Readonly<Record<string, string>>): string[] {
  return Object.entries(record)
    .map(([name, value]) => `${name} ${value}`)
    .toSorted();
}
