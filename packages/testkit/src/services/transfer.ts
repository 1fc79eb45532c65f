import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { ApiError, type Box, type BoxExport, type BoxImport, type BoxSpace, type UsageReport } from '@citb/api';
import { parseRange } from '@citb/daemon';
import type { FileDownload, ImportRequest, Transfer, Uploads } from '@citb/host/services.ts';
import type { BoxesDouble } from './boxes.ts';

const takes: BoxSpace = { disk_bytes: 4096, saved_bytes: 0, checkpoint_bytes: 0, checkpoints: 0, total_bytes: 4096 };

/** Exports that hold a line of text with the runtime of the box, and imports of these. */
export class TransferDouble implements Transfer {
  readonly #boxes: BoxesDouble;
  readonly #files = new Map<string, { about: BoxExport; content: Buffer }>();

  /** Imports under way: what came of each. */
  readonly arriving = new Map<string, Buffer>();
  readonly uploads: Uploads = {
    begin: async () => {
      const id = `imp_${String(this.arriving.size + 1).padStart(12, '0')}`;
      this.arriving.set(id, Buffer.alloc(0));
      return this.#arrivingOf(id);
    },
    get: async (id) => this.#arrivingOf(id),
    append: async (id, offset, body) => {
      if (this.#arrivingOf(id).offset !== offset) throw new ApiError('import_offset');
      // What arrived of a body that breaks stays.
      for await (const chunk of body) this.arriving.set(id, Buffer.concat([this.arriving.get(id) ?? Buffer.alloc(0), chunk as Buffer]));
      return this.#arrivingOf(id);
    },
    finish: async (id, request) => {
      this.#arrivingOf(id);
      return await this.import(Readable.from([this.arriving.get(id)]), request);
    },
    remove: async (id) => {
      this.#arrivingOf(id);
      this.arriving.delete(id);
    },
  };

  constructor(boxes: BoxesDouble) {
    this.#boxes = boxes;
  }

  async prepare(boxId: string): Promise<BoxExport> {
    const { runtime } = await this.#boxes.get(boxId);
    const content = Buffer.from(`box ${runtime}\n`);
    const about: BoxExport = {
      id: `exp_${String(this.#files.size + 1).padStart(12, '0')}`,
      box_id: boxId,
      size_bytes: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
      created: new Date().toISOString(),
      expires: new Date(Date.now() + 60_000).toISOString(),
    };
    this.#files.set(about.id, { about, content });
    return about;
  }

  async read(exportId: string, range: string | undefined): Promise<FileDownload> {
    const { about, content } = this.#find(exportId);
    const part = parseRange(range, content.length);
    const { start, end } = part ?? { start: 0, end: content.length - 1 };
    return {
      status: part === undefined ? 200 : 206,
      size: end - start + 1,
      contentRange: part === undefined ? undefined : `bytes ${start}-${end}/${content.length}`,
      modified: about.created,
      body: Readable.from([content.subarray(start, end + 1)]),
    };
  }

  async remove(exportId: string): Promise<void> {
    this.#find(exportId);
    this.#files.delete(exportId);
  }

  async import(body: Readable, { id, userId, envVars }: ImportRequest): Promise<Box> {
    const runtime = /^box (\S+)\n$/.exec((await buffer(body)).toString())?.[1];
    if (runtime === undefined) throw new ApiError('import_invalid');
    return (await this.#boxes.create({ id, userId, runtime, envVars: envVars ?? {} })).box;
  }

  async usageOf(boxId: string): Promise<BoxSpace> {
    await this.#boxes.get(boxId);
    return takes;
  }

  async usage({ userId }: { userId?: string | undefined }): Promise<UsageReport> {
    const boxes = [...this.#boxes.all.values()]
      .filter((box) => userId === undefined || box.user_id === userId)
      .map((box) => ({
        box_id: box.id,
        user_id: box.user_id,
        ...takes,
      }));
    return { boxes, total_bytes: boxes.length * 4096, disk_free_bytes: 1e9 };
  }

  #arrivingOf(id: string): BoxImport {
    const bytes = this.arriving.get(id);
    if (bytes === undefined) throw new ApiError('import_not_found');
    return { id, offset: bytes.length, expires: new Date(Date.now() + 60_000).toISOString() };
  }

  #find(id: string): { about: BoxExport; content: Buffer } {
    const found = this.#files.get(id);
    if (found === undefined) throw new ApiError('export_not_found');
    return found;
  }
}
