import { mkdirSync, readdirSync, utimesSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Images } from '@citb/images';
import { ApiError } from '@citb/api';
import type { VmmReport } from '../vmm/vmm.ts';
import { type BuildParts, buildTemplate } from './build.ts';
import { SpareDisks } from './spare-disks.ts';
import { isAbandoned, readTemplate, removeTemplate, type Shape, type Template, templateKey, unfinishedPrefix } from './template.ts';

/** What starting a box needs of templates. */
export interface TemplateSource {
  /** The template of a new box of this image and shape. */
  find(imageKey: string, shape: Shape): Template | undefined;
  /** Puts a copy of its disk at `path`. @throws DiskError */
  takeDisk(template: Template, path: string, signal: AbortSignal): Promise<void>;
  /** A clone of it is up: makes what the next one needs ahead, in the background. */
  cloned(template: Template): void;
  /** Has one made in the background, unless it is there, on its way, or failed just now. */
  want(shape: Shape): void;
  /** A clone of it did not come up: it goes, and another is made when it is wanted again. */
  spoil(template: Template, reason: string): void;
  /** A machine of this run is a template on its way: nobody's box, and no stray either. */
  isBuilding(runId: string): boolean;
  /** Those that boxes can be cloned from, and those on their way. */
  list(): { shape: Shape; state: 'ready' | 'building' }[];
  /** Gives up what is on its way. */
  close(): Promise<void>;
}

/** No templates: every box boots. */
export const noTemplates: TemplateSource = {
  find: () => undefined,
  takeDisk: () => Promise.reject(new Error('there are no templates')),
  cloned: () => {},
  want: () => {},
  spoil: () => {},
  isBuilding: () => false,
  list: () => [],
  close: async () => {},
};

export interface TemplatesOptions extends Omit<BuildParts, 'begun'> {
  readonly images: Images;
  readonly report: VmmReport;
}

/** Each holds the memory of a machine and a small disk; those used last are kept. */
const maxTemplates = 16;
/** Machines booted for one template before it is given up. */
const buildTries = 3;
/** After a failure, ms: a full host has room again, a broken image stays broken. */
const retryMs = 10 * 60_000;

/** All templates of a host, in `<data directory>/templates/<key>`. One is made at a time. */
export class Templates implements TemplateSource {
  readonly #parts: TemplatesOptions;
  readonly #folder: string;
  readonly #stopping = new AbortController();
  readonly #spares: SpareDisks;
  readonly #known = new Map<string, Template>();
  readonly #failed = new Map<string, number>();
  readonly #runs = new Set<string>();
  #waiting: Shape[] = [];
  #working: Promise<void> | undefined;

  /** Reads those that are there. What a crash left half-made goes. */
  constructor(parts: TemplatesOptions) {
    this.#parts = parts;
    this.#folder = join(parts.settings.dataDir, 'templates');
    this.#spares = new SpareDisks(parts.disks, this.#stopping.signal);
    // Passing through only, as for boxes.
    mkdirSync(this.#folder, { recursive: true, mode: 0o711 });
    for (const name of readdirSync(this.#folder)) {
      if (name.startsWith(unfinishedPrefix) && !isAbandoned(name)) continue;
      const template = readTemplate(join(this.#folder, name));
      if (template?.key === name) this.#known.set(name, template);
      else void removeTemplate(join(this.#folder, name)).catch(() => undefined);
    }
  }

  find(imageKey: string, shape: Shape): Template | undefined {
    const template = this.#known.get(this.#key(imageKey, shape));
    if (template !== undefined) {
      const now = new Date();
      utimesSync(join(this.#folder, template.key), now, now);
    }
    return template;
  }

  takeDisk(template: Template, path: string, signal: AbortSignal): Promise<void> {
    return this.#spares.take(template, path, signal);
  }

  cloned(template: Template): void {
    if (this.#known.get(template.key) === template) this.#spares.refill(template);
  }

  want(shape: Shape): void {
    if (this.#stopping.signal.aborted || this.#waiting.some((other) => same(other, shape))) return;
    this.#waiting.push(shape);
    this.#working ??= this.#work().finally(() => (this.#working = undefined));
  }

  spoil(template: Template, reason: string): void {
    if (this.#known.get(template.key) !== template) return;
    this.#known.delete(template.key);
    this.#parts.log.warn({ template: template.key, shape: template.shape, reason }, 'a template could not be cloned and is made anew');
    void removeTemplate(join(this.#folder, template.key)).catch(() => undefined);
  }

  isBuilding(runId: string): boolean {
    return this.#runs.has(runId);
  }

  list(): { shape: Shape; state: 'ready' | 'building' }[] {
    const ready = [...this.#known.values()].map(({ shape }) => ({ shape, state: 'ready' as const }));
    return [...ready, ...this.#waiting.map((shape) => ({ shape, state: 'building' as const }))];
  }

  async close(): Promise<void> {
    this.#stopping.abort(new ApiError('host_stopping'));
    await this.#working;
    await this.#spares.settled();
  }

  async #work(): Promise<void> {
    for (let shape = this.#waiting[0]; shape !== undefined; shape = this.#waiting[0]) {
      await this.#make(shape).catch((error: unknown) => {
        if (!this.#stopping.signal.aborted) this.#parts.log.warn({ err: error, shape }, 'a template could not be made; boxes boot instead');
      });
      this.#waiting.shift();
      if (this.#stopping.signal.aborted) return;
    }
  }

  async #make(shape: Shape): Promise<void> {
    const { images, log } = this.#parts;
    const image = await images.get(shape.runtime);
    const key = this.#key(image.key, shape);
    if (this.#known.has(key) || (this.#failed.get(key) ?? -Infinity) > performance.now() - retryMs) return;
    const folder = join(this.#folder, key);
    const started = performance.now();
    let run = '';
    const begun = (runId: string): void => {
      run = runId;
      this.#runs.add(runId);
    };
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o711 });
      await this.#tryToBuild((signal) => buildTemplate({ ...this.#parts, begun }, { image, shape, key, folder }, signal));
    } catch (error) {
      this.#failed.set(key, performance.now());
      throw error;
    } finally {
      this.#runs.delete(run);
    }
    const template = readTemplate(folder);
    if (template === undefined) throw new Error('The template is not complete.');
    this.#known.set(key, template);
    this.#spares.refill(template);
    log.info({ shape, ms: Math.round(performance.now() - started) }, 'template ready');
    this.#prune(template);
  }

  /** Again at once when a machine did not come up: another daemon may have taken its address, the host been busy. @throws the last failure */
  async #tryToBuild(build: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    for (let left = buildTries - 1; ; left -= 1) {
      try {
        return await build(signal);
      } catch (error) {
        if (left === 0 || signal.aborted || (error instanceof ApiError && error.code !== 'box_unreachable')) throw error;
        this.#parts.log.warn({ err: error }, 'a template did not come up; it is tried again');
      }
    }
  }

  /** Removes what the new one replaces, and what was not used for longest. */
  #prune(made: Template): void {
    const usedAt = (key: string): number => statSync(join(this.#folder, key), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    const others = [...this.#known.values()].filter((template) => template !== made).toSorted((a, b) => usedAt(b.key) - usedAt(a.key));
    for (const [index, template] of others.entries()) {
      if (!same(template.shape, made.shape) && index < maxTemplates - 1) continue;
      this.#known.delete(template.key);
      void removeTemplate(join(this.#folder, template.key)).catch(() => undefined);
    }
  }

  #key(imageKey: string, shape: Shape): string {
    return templateKey(imageKey, shape, this.#parts.report, this.#parts.settings.model);
  }
}

function same(a: Shape, b: Shape): boolean {
  return a.runtime === b.runtime && a.cpus === b.cpus && a.memoryMib === b.memoryMib && a.diskMib === b.diskMib;
}
