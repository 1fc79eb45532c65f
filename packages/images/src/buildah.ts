import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './command.ts';

export interface DockerfileBuild {
  /** For messages: "the runtime python". */
  readonly what: string;
  /** Folder with the Dockerfile; all that it may COPY. */
  readonly context: string;
  /** `localhost/name:key`. */
  readonly tag: string;
  /** Replaces the image of the first FROM. */
  readonly from?: string;
  /** Host folder that is mounted at /run/citb-build while it builds, and does not stay in the image. */
  readonly settings: string;
  readonly env: Readonly<Record<string, string>>;
  readonly onLine?: (line: string) => void;
}

/** buildah with a storage of its own in the data directory; no daemon, no configuration of the machine. */
export class Buildah {
  readonly #folder: string;
  readonly #temporary: string;
  readonly #asRoot = process.getuid?.() === 0;
  #driver: string | undefined;

  /** @param temporary for its temporary files, which a killed one leaves; exists */
  constructor(root: string, temporary: string) {
    this.#folder = join(root, 'buildah');
    this.#temporary = temporary;
  }

  async exists(image: string): Promise<boolean> {
    const known = await this.#run('The built images cannot be listed', ['images', '--all', '--format', '{{.Name}}:{{.Tag}}']);
    return known.split('\n').includes(image);
  }

  /** Layers are cached: an unchanged Dockerfile takes 0.05 s. RUN has the host's network. */
  async build(build: DockerfileBuild): Promise<void> {
    const args = ['build', '--isolation', 'chroot', '--layers', '--pull-never', '--tag', build.tag];
    args.push('--volume', `${build.settings}:/run/citb-build:ro`);
    for (const [name, value] of Object.entries(build.env)) args.push('--env', `${name}=${value}`);
    if (build.from !== undefined) args.push('--from', build.from);
    await this.#run(`The image of ${build.what} could not be built`, [...args, build.context], build.onLine);
  }

  /** Runs a shell script with the files of an image at $ROOT; the names in `env` reach it. */
  async withFiles(what: string, image: string, script: string, env: Readonly<Record<string, string>>): Promise<void> {
    const container = await this.#run(what, ['from', '--pull-never', image]);
    try {
      // A normal user sees mounts only inside the user namespace, so mount and script share one.
      const text = `set -eu\nROOT=$($BUILDAH mount "$CONTAINER")\nexport ROOT\n${script}`;
      const variables = {
        ...env,
        TMPDIR: this.#temporary,
        BUILDAH: ['buildah', ...(await this.#storage())].join(' '),
        CONTAINER: container,
      };
      await (this.#asRoot
        ? run(what, 'sh', ['-c', text], { env: variables })
        : run(what, 'buildah', [...(await this.#storage()), 'unshare', 'sh', '-c', text], { env: variables }));
    } finally {
      await this.#run(what, ['rm', container]);
    }
  }

  /** Removes containers that interrupted builds left. Only under the build lock. */
  async clean(): Promise<void> {
    await this.#run('What an interrupted build left cannot be removed', ['rm', '--all']);
  }

  /** Removes images that `keep` does not want, and layers that then serve nothing. Only under the build lock. */
  async prune(keep: (image: string) => boolean): Promise<void> {
    const what = 'Old images cannot be removed';
    const known = await this.#run(what, ['images', '--format', '{{.Name}}:{{.Tag}}']);
    const old = known.split('\n').filter((image) => image.startsWith('localhost/citb-') && !keep(image));
    if (old.length > 0) await this.#run(what, ['rmi', '--force', ...old]);
    await this.#run(what, ['rmi', '--prune']);
  }

  async #run(what: string, args: readonly string[], onLine?: (line: string) => void): Promise<string> {
    return await run(what, 'buildah', [...(await this.#storage()), ...args], {
      env: { TMPDIR: this.#temporary },
      ...(onLine === undefined ? {} : { onLine }),
    });
  }

  async #storage(): Promise<readonly string[]> {
    this.#driver ??= await this.#chooseDriver();
    return this.#options(this.#driver);
  }

  #options(driver: string): readonly string[] {
    return ['--root', join(this.#folder, 'root'), '--runroot', join(this.#folder, 'run'), '--storage-driver', driver];
  }

  /** overlay where the file system takes it; vfs (a copy per layer, twice the disk) elsewhere. Kept: a storage has one driver for life. */
  async #chooseDriver(): Promise<string> {
    const note = join(this.#folder, 'driver');
    const known = await readFile(note, 'utf8').catch(() => undefined);
    if (known !== undefined) return known.trim();
    await mkdir(this.#folder, { recursive: true });
    const driver = await run('overlay', 'buildah', [...this.#options('overlay'), 'info']).then(
      () => 'overlay',
      () => 'vfs',
    );
    await writeFile(note, `${driver}\n`);
    return driver;
  }
}
