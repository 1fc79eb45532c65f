import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { baseKey, baseTag } from './base.ts';
import { asBuilder } from './builder.ts';
import { requireSpace } from './disk-space.ts';
import { buildGuest, guestKey } from './guest-image.ts';
import { ImageError } from './image-error.ts';
import type { BootImage, ImageManifest, Images, Progress } from './images.ts';
import { listRuntimes, readManifest } from './manifest.ts';
import { keyOf } from './recipe.ts';
import { buildRuntime, runtimeKey } from './runtime-image.ts';
import { type Artifact, ArtifactStore } from './store.ts';

/**
 * - `no_timer_check`: the kernel counts timer ticks at its start; on a busy host some are late, which it takes for broken hardware.
 * - `reboot=t panic=-1`: a dead kernel ends the VMM. `random.trust_cpu`: a box has no other early entropy.
 */
const cmdline = 'console=ttyS0 quiet reboot=t panic=-1 no_timer_check random.trust_cpu=on';

export interface ImagesOptions {
  /** Images live in `<dataDir>/images`. */
  readonly dataDir: string;
  /** The folder with `images/` and `packages/`. */
  readonly repoRoot: string;
  /** Progress of builds whose caller does not listen. */
  readonly log?: Progress;
}

/** The images of a data directory. Does nothing until it is asked. */
export function createImages(options: ImagesOptions): Images {
  return new LocalImages(options);
}

/** Addresses of everything that a runtime boots from. */
interface Plan {
  readonly manifest: ImageManifest;
  readonly base: string;
  readonly rootName: string;
  readonly rootKey: string;
  readonly guestName: string;
  readonly guestKey: string;
}

class LocalImages implements Images {
  readonly #dataDir: string;
  readonly #repoRoot: string;
  readonly #log: Progress;
  /** By key of the base. The guest's services are of this program's version, which changes with a restart. */
  readonly #guestKeys = new Map<string, Promise<string>>();
  readonly #running = new Map<string, { readonly result: Promise<BootImage>; readonly listeners: Set<Progress> }>();

  constructor({ dataDir, repoRoot, log = () => undefined }: ImagesOptions) {
    this.#dataDir = dataDir;
    this.#repoRoot = repoRoot;
    this.#log = log;
  }

  async runtimes(): Promise<readonly string[]> {
    return await listRuntimes(this.#repoRoot);
  }

  async peek(runtime: string): Promise<BootImage | undefined> {
    return await this.#find(await this.#plan(runtime), await this.#root());
  }

  async get(runtime: string, progress: Progress = () => undefined): Promise<BootImage> {
    const running = this.#running.get(runtime);
    if (running !== undefined) {
      running.listeners.add(progress);
      return await running.result;
    }
    const listeners = new Set([this.#log, progress]);
    const result = this.#getOrBuild(runtime, (message) => listeners.forEach((listener) => listener(message))).finally(() =>
      this.#running.delete(runtime),
    );
    this.#running.set(runtime, { result, listeners });
    return await result;
  }

  async prune(inUse: readonly string[]): Promise<readonly string[]> {
    const plans = await Promise.all((await this.runtimes()).map(async (runtime) => this.#plan(runtime)));
    const names = new Set(plans.flatMap((plan) => [plan.rootName, plan.guestName]));
    const tags = new Set(
      plans.flatMap((plan) => [
        baseTag(plan.base),
        `localhost/citb-guest:${plan.guestKey}`,
        `localhost/citb-${plan.manifest.runtime}:${plan.rootKey}`,
      ]),
    );
    const place = { root: await this.#root(), repoRoot: this.#repoRoot, progress: this.#log };
    return await asBuilder(place, async ({ store, buildah }) => {
      await buildah.prune((image) => tags.has(image));
      return await store.prune(({ name, folder }) => names.has(name) || inUse.some((path) => path.startsWith(`${folder}/`)));
    });
  }

  async #getOrBuild(runtime: string, progress: Progress): Promise<BootImage> {
    const root = await this.#root();
    const ready = await this.#find(await this.#plan(runtime), root);
    if (ready !== undefined) return ready;
    return await asBuilder({ root, repoRoot: this.#repoRoot, progress }, async (builder) => {
      // What is built is made of the sources as they are now.
      this.#guestKeys.clear();
      const plan = await this.#plan(runtime);
      // Whoever held the lock before may have built them.
      const built = await this.#find(plan, root);
      if (built !== undefined) return built;
      await requireSpace(root);
      const guest = (await builder.store.find(plan.guestName)) ?? (await buildGuest(builder, plan.guestKey, plan.base));
      const drive = (await builder.store.find(plan.rootName)) ?? (await buildRuntime(builder, runtime, plan.rootKey, plan.base));
      return bootImage(plan, guest, drive);
    });
  }

  async #find(plan: Plan, root: string): Promise<BootImage | undefined> {
    const store = new ArtifactStore(root);
    const [guest, drive] = await Promise.all([store.find(plan.guestName), store.find(plan.rootName)]);
    return guest === undefined || drive === undefined ? undefined : bootImage(plan, guest, drive);
  }

  async #plan(runtime: string): Promise<Plan> {
    const manifest = await readManifest(this.#repoRoot, runtime);
    if (manifest === undefined) {
      throw new ImageError(`There is no runtime ${JSON.stringify(runtime)}.`, `Use one of: ${(await this.runtimes()).join(', ')}.`);
    }
    const base = await baseKey(this.#repoRoot);
    const [rootKey, guest] = await Promise.all([runtimeKey(this.#repoRoot, runtime, base), this.#guestKey(base)]);
    return { manifest, base, rootKey, rootName: `root-${runtime}-${rootKey}`, guestKey: guest, guestName: `guest-${guest}` };
  }

  #guestKey(base: string): Promise<string> {
    const known = this.#guestKeys.get(base);
    if (known !== undefined) return known;
    const key = guestKey(this.#repoRoot, base);
    this.#guestKeys.set(base, key);
    key.catch(() => this.#guestKeys.delete(base));
    return key;
  }

  /** Resolved: `<dataDir>/images` may be a link to images that several data directories share, and buildah compares paths. */
  async #root(): Promise<string> {
    const folder = join(this.#dataDir, 'images');
    await mkdir(folder, { recursive: true, mode: 0o755 });
    return await realpath(folder);
  }
}

function bootImage(plan: Plan, guest: Artifact, drive: Artifact): BootImage {
  return {
    runtime: plan.manifest.runtime,
    key: keyOf(guest.digest, drive.digest, plan.manifest, cmdline),
    kernel: join(guest.folder, 'vmlinuz'),
    initrd: join(guest.folder, 'initrd.gz'),
    cmdline,
    root: join(drive.folder, 'root.img'),
    tools: join(guest.folder, 'tools.img'),
    preload: join(guest.folder, 'qemu-preload.so'),
    manifest: plan.manifest,
  };
}
