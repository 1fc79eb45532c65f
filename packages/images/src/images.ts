/** What a box is made from, all read-only and content-addressed: paths on the host. */
export interface BootImage {
  readonly runtime: string;
  /** Content address of everything below: changes when any recipe changes. */
  readonly key: string;
  readonly kernel: string;
  readonly initrd: string;
  /** Kernel command line, without what a box adds. */
  readonly cmdline: string;
  /** /dev/vda: the runtime's root file system. */
  readonly root: string;
  /** /dev/vdc: node, envd, the agent server, busybox. */
  readonly tools: string;
  /** For the host: loaded into QEMU (packages/images/guest/preload). */
  readonly preload: string;
  readonly manifest: ImageManifest;
}

/** `images/<runtime>/manifest.json`. */
export interface ImageManifest {
  readonly runtime: string;
  readonly description: string;
  /** Tasks can be sent. */
  readonly agent: boolean;
  readonly memoryMib: number;
  readonly cpus: number;
}

/** A line of progress for a person: what is being done, and how far where that is known. */
export type Progress = (message: string) => void;

export interface Images {
  /** Names of `images/`. */
  runtimes(): Promise<readonly string[]>;
  /** The image, built when it is missing; callers at once (also other processes) share one build. @throws ImageError in words */
  get(runtime: string, progress?: Progress): Promise<BootImage>;
  /** The image if it is there and current. */
  peek(runtime: string): Promise<BootImage | undefined>;
  /**
   * Removes image versions that are neither current nor in use, and their build layers.
   * @param inUse paths of images (`root`, `tools`, ...) that boxes still have
   * @returns what was removed, by name
   */
  prune(inUse: readonly string[]): Promise<readonly string[]>;
}
