import { finished, Transform, type Readable } from 'node:stream';
import { ApiError, fileChange, fileEntry, fileListing, limits, type FileChange } from '@citb/api';
import { z } from 'zod';
import type { BoxAccess } from '../boxes/access.ts';
import { inBox } from '../boxes/in-box.ts';
import { whyGone } from '../boxes/why-gone.ts';
import type { GuestClients } from '../guest/clients.ts';
import { parseJson, unreachable } from '../guest/errors.ts';
import { lineBatches } from '../guest/lines.ts';
import type { GuestCall, GuestServer } from '../guest/server.ts';
import type { Files } from '../services.ts';
import { downloadOf } from './download.ts';
import { tarOf } from './tar-of.ts';
import { watchUpload } from './upload.ts';
import { zipOfTar } from './zip.ts';

/** A full listing: every entry with a path of the largest length. In bytes. */
const listingBytes = limits.listEntries * (limits.pathBytes + 300);
/** One line of a watch: a path in JSON. */
const changeBytes = limits.pathBytes * 6 + 200;
/** Reading a large folder in an emulated guest takes a while, in ms. */
const listingMs = 120_000;
/** An upload in which nothing moves for so long, or which the guest does not answer, is given up, in ms. Large files are synced before the answer. */
const uploadStallMs = 120_000;

/** From this size on the guest stores a file by a program of its own, which takes a while to start: docs/decisions/009-uploads-past-node.md */
export const largeBytes = 4 * 1024 * 1024;

/** The body's own movement is the bound in time. */
const put = { method: 'PUT', timeoutMs: null } as const;

const unpacked = z.object({ files: z.int().nonnegative() });

/** The workspaces of boxes, by envd's `/workspace` routes. */
export function createFiles({ access, clients }: { access: BoxAccess; clients: GuestClients }): Files {
  /** For what may be done again when the machine turns out to be gone. */
  function envd<T>(boxId: string, work: (guest: GuestServer) => Promise<T>): Promise<T> {
    return inBox(access, boxId, (box) => work(clients.envd(box)));
  }

  /** Sends a body and waits for the answer, however large it is, as long as it moves. */
  async function send<T>(
    boxId: string,
    body: Readable,
    { size, signal }: { size: number | undefined; signal: AbortSignal },
    transfer: (guest: GuestServer, stream: Readable, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (size !== undefined && size > limits.uploadBytes) throw new ApiError('body_too_large');
    using _busy = access.use(boxId);
    // The body is gone when it was sent: an upload is not repeated.
    const guest = clients.envd(await access.awake(boxId));
    using upload = watchUpload(body, limits.uploadBytes, uploadStallMs);
    return await transfer(guest, upload.stream, AbortSignal.any([signal, upload.stalled]));
  }

  /** The box is in use from now until all of the body was read, or nobody reads it any more. */
  async function whileRead<T>(boxId: string, open: () => Promise<{ answer: T; body: Readable }>): Promise<T> {
    const busy = access.use(boxId);
    try {
      const { answer, body } = await open();
      finished(body, () => busy[Symbol.dispose]());
      return answer;
    } catch (error) {
      busy[Symbol.dispose]();
      throw error;
    }
  }

  return {
    async list(boxId, { path, recursive, limit }) {
      const query = { path, recursive, limit };
      const call: GuestCall = { method: 'GET', path: '/workspace/list', query, maxBytes: listingBytes, timeoutMs: listingMs };
      const listing = await envd(boxId, (guest) => guest.json(call, fileListing));
      if (listing.entries.length > limit) throw unreachable(undefined, 'The box listed more than it was asked for.');
      return listing;
    },

    async stat(boxId, path) {
      return envd(boxId, (guest) => guest.json({ method: 'GET', path: '/workspace/stat', query: { path } }, fileEntry));
    },

    async read(boxId, path, { range, head, signal }) {
      const headers = range === undefined || range.length > 100 ? {} : { range };
      const call: GuestCall = { method: head ? 'HEAD' : 'GET', path: '/workspace/file', query: { path }, headers, signal };
      return whileRead(boxId, async () => {
        const answer = await envd(boxId, (guest) => guest.open(call));
        return { answer: downloadOf(answer, head), body: answer.body };
      });
    },

    write: (boxId, path, body, { size, mode, signal }) =>
      send(boxId, body, { size, signal }, async (guest, stream, either) => {
        const query = { path, mode };
        if (size !== undefined && size >= largeBytes) {
          const upload = { path: '/workspace/upload', query, body: stream, size, signal: either };
          const stored = await guest.upload(upload, fileEntry);
          if (stored !== undefined) return stored;
        }
        return guest.json({ ...put, path: '/workspace/file', query, body: { stream, size }, signal: either }, fileEntry);
      }),

    async makeFolder(boxId, path) {
      using _busy = access.use(boxId);
      return await envd(boxId, (guest) => guest.json({ method: 'POST', path: '/workspace/folder', query: { path } }, fileEntry));
    },

    async move(boxId, from, to, overwrite) {
      using _busy = access.use(boxId);
      const guest = clients.envd(await access.awake(boxId));
      return await guest.json({ method: 'POST', path: '/workspace/move', body: { json: { from, to, overwrite } } }, fileEntry);
    },

    async remove(boxId, path, recursive) {
      using _busy = access.use(boxId);
      const guest = clients.envd(await access.awake(boxId));
      await guest.done({ method: 'DELETE', path: '/workspace/entry', query: { path, recursive }, timeoutMs: listingMs });
    },

    async archive(boxId, path, format, signal) {
      const call: GuestCall = { method: 'GET', path: '/workspace/archive', query: { path, format: 'tar' }, signal };
      return whileRead(boxId, async () => {
        const { body } = await envd(boxId, (guest) => guest.open(call));
        const tar = atMost(body, limits.uploadBytes);
        return { answer: format === 'zip' ? zipOfTar(tar) : tar, body: tar };
      });
    },

    async unpack(boxId, path, body, signal) {
      const tar = await tarOf(body);
      try {
        return await send(boxId, tar, { size: undefined, signal }, (guest, stream, either) =>
          guest.json({ ...put, path: '/workspace/archive', query: { path }, body: { stream, size: undefined }, signal: either }, unpacked),
        );
      } finally {
        if (tar !== body) tar.destroy();
      }
    },

    async *watch(boxId, path, signal) {
      using _busy = access.use(boxId);
      const call: GuestCall = { method: 'GET', path: '/workspace/watch', query: { path, recursive: true }, signal };
      const { box, body } = await inBox(access, boxId, async (awake) => ({
        box: awake,
        body: (await clients.envd(awake).open(call)).body,
      }));
      try {
        for await (const { lines } of lineBatches(body, changeBytes)) yield* lines.map(changeOf).filter((change) => change !== undefined);
      } catch (error) {
        if (!signal.aborted) throw whyGone(access, box, unreachable(error));
        return;
      }
      if (!signal.aborted) throw whyGone(access, box, unreachable(undefined, 'The box ended the watch.'));
    },
  };
}

function changeOf(line: string): FileChange | undefined {
  return fileChange.safeParse(parseJson(line)).data;
}

/** A guest's disk is finite, what it says is not. */
function atMost(body: Readable, limit: number): Readable {
  let seen = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      if (seen > limit) done(unreachable(undefined, 'The box sends more than any folder holds.'));
      else done(null, chunk);
    },
  });
  // It may fail before its reader listens, or when that one has left.
  bounded.on('error', () => undefined);
  body.once('error', (error) => bounded.destroy(unreachable(error)));
  bounded.once('close', () => body.destroy());
  return body.pipe(bounded);
}
