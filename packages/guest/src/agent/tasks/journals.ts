import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syncFolder } from '../durable.ts';
import { type JournalBounds, Journal, journalBounds } from './journal.ts';

/** Bytes that the journals of ended tasks may take together; the oldest go first. The host has had time to read them. */
const endedBytes = 40 * 1024 * 1024;
const endedKept = 1000;
/** Freed when the disk is full, so that a task can still tell its end. */
const reserveBytes = 256 * 1024;

/** A journal and whose it is. */
export interface TaskJournal {
  readonly id: string;
  /** Tasks are numbered in the order in which they were accepted. */
  readonly order: number;
  readonly journal: Journal;
}

/** The folder of all journals: `<order>-<task id>.ndjson`. */
export class Journals {
  readonly #folder: string;
  readonly #bounds: JournalBounds;
  readonly #ended: TaskJournal[] = [];
  readonly #evicted: (id: string) => void;
  #next = 1;

  /** @param evicted is told of each ended task whose journal had to go */
  constructor(folder: string, evicted: (id: string) => void, bounds: JournalBounds = journalBounds) {
    this.#folder = folder;
    this.#evicted = evicted;
    this.#bounds = bounds;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** What is there from before, oldest first. A file that is no journal is left alone. */
  load(): TaskJournal[] {
    const found: TaskJournal[] = [];
    for (const name of readdirSync(this.#folder).toSorted()) {
      const parts = /^(\d{10})-(task_[a-z0-9]{20})\.ndjson$/.exec(name);
      if (parts === null) continue;
      const order = Number(parts[1]);
      const journal = Journal.open(join(this.#folder, name), () => this.makeRoom(), this.#bounds);
      found.push({ id: parts[2] ?? '', order, journal });
      this.#next = Math.max(this.#next, order + 1);
    }
    this.#keepReserve();
    return found;
  }

  /** Its name is on the disk when it returns. @throws what the file system says */
  async create(id: string): Promise<TaskJournal> {
    const order = this.#next;
    const path = join(this.#folder, `${String(order).padStart(10, '0')}-${id}.ndjson`);
    const journal = Journal.create(path, () => this.makeRoom(), this.#bounds);
    this.#next += 1;
    await syncFolder(this.#folder);
    return { id, order, journal };
  }

  /** Tells that a task ended: its journal may go when room is needed. */
  ended(entry: TaskJournal): void {
    this.#ended.push(entry);
    let bytes = this.#ended.reduce((sum, each) => sum + each.journal.bytes, 0);
    while (this.#ended.length > endedKept || (bytes > endedBytes && this.#ended.length > 1)) bytes -= this.#evictOldest();
    this.#keepReserve();
  }

  /** Removes a journal. */
  remove(entry: TaskJournal): void {
    const at = this.#ended.indexOf(entry);
    if (at >= 0) this.#ended.splice(at, 1);
    entry.journal.close();
    rmSync(entry.journal.path, { force: true });
  }

  /** Frees room on a full disk: first the reserve, then the oldest ended journal. False when there is nothing left. */
  makeRoom(): boolean {
    const reserve = this.#reserve();
    if (statSync(reserve, { throwIfNoEntry: false }) !== undefined) {
      rmSync(reserve, { force: true });
      return true;
    }
    return this.#ended.length > 0 && this.#evictOldest() > 0;
  }

  #evictOldest(): number {
    const oldest = this.#ended[0];
    if (oldest === undefined) return 0;
    this.remove(oldest);
    this.#evicted(oldest.id);
    return oldest.journal.bytes;
  }

  #reserve(): string {
    return join(this.#folder, 'reserve');
  }

  #keepReserve(): void {
    try {
      if (statSync(this.#reserve(), { throwIfNoEntry: false })?.size === reserveBytes) return;
      // Random-looking content is not needed: ext4 does not compress, and a hole would reserve nothing.
      writeFileSync(this.#reserve(), Buffer.alloc(reserveBytes, 0x2e), { mode: 0o600 });
    } catch {
      // The disk is full now; it is tried again when the next task ends.
      rmSync(this.#reserve(), { force: true });
    }
  }
}
