import { execFile } from 'node:child_process';
import { posix } from 'node:path';
import { promisify } from 'node:util';
import { ApiError, type FileChange } from '@citb/api';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { EventType, type Filesystem, type FilesystemEventSchema } from '@citb/api/gen/filesystem_pb.js';
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import type { Tree } from '../../tree/index.ts';
import { absolutePath, actingUser, basicUser, systemPath, systemTreeOf } from '../caller.ts';
import type { Envd } from '../context.ts';
import { keepAliveMs } from '../keepalive.ts';
import { entryInfo, entryInfos } from './entry-info.ts';
import type { Watchers } from './watchers.ts';

type Event = MessageInitShape<typeof FilesystemEventSchema>;

/** Entries of one listing; E2B has no bound, a guest's memory has. */
const maxEntries = 50_000;

/** E2B's filesystem service: the whole file system of the guest, as the user of the call. */
export function filesystemService(envd: Envd, watchers: Watchers): ServiceImpl<typeof Filesystem> {
  return {
    async stat({ path }, context) {
      const place = await find(envd, path, context);
      return { entry: await entryInfo(await place.tree.stat(place.inTree), envd.users) };
    },

    async makeDir({ path }, context) {
      const place = await find(envd, path, context);
      const { entry, created } = await place.tree.makeFolder(place.inTree).catch((error: unknown) => {
        throw isCode(error, 'file_exists')
          ? new ConnectError(`path already exists but it is not a directory: ${place.path}`, Code.InvalidArgument)
          : error;
      });
      if (!created) throw new ConnectError(`directory already exists: ${place.path}`, Code.AlreadyExists);
      return { entry: await entryInfo(entry, envd.users) };
    },

    async move({ source, destination }, context) {
      const from = await find(envd, source, context);
      const to = await find(envd, destination, context);
      await from.tree.move(from.inTree, to.inTree, { overwrite: true }).catch(async (error: unknown) => {
        if (!isCode(error, 'not_supported')) throw error;
        await moveByCopy(from.path, to.path);
      });
      return { entry: await entryInfo(await to.tree.stat(to.inTree), envd.users) };
    },

    async listDir({ path, depth }, context) {
      const place = await find(envd, path, context);
      const { entries, truncated } = await place.tree.list(place.inTree, { depth: Math.max(depth, 1), limit: maxEntries });
      if (truncated) throw new ConnectError(`there are more than ${maxEntries} entries: list with less depth`, Code.ResourceExhausted);
      return { entries: await entryInfos(entries, envd.users) };
    },

    async remove({ path }, context) {
      const place = await find(envd, path, context);
      await place.tree.remove(place.inTree, { recursive: true }).catch((error: unknown) => {
        // As with Go's RemoveAll, what is not there has been removed.
        if (!isCode(error, 'file_not_found')) throw error;
      });
      return {};
    },

    async *watchDir({ path, recursive, includeEntry }, context) {
      const place = await find(envd, path, context);
      const watch = await place.tree.watch(place.inTree, { recursive });
      try {
        yield { event: { case: 'start', value: {} } };
        const quietMs = keepAliveMs(context.requestHeader);
        while (!watch.closed && !context.signal.aborted) {
          await watch.wait(quietMs, context.signal);
          const events = await eventsOf(envd, place, watch.take(), includeEntry);
          if (events.length === 0 && !context.signal.aborted) yield { event: { case: 'keepalive', value: {} } };
          for (const value of events) yield { event: { case: 'filesystem', value } };
        }
      } finally {
        watch.close();
      }
    },

    async createWatcher({ path, recursive, includeEntry }, context) {
      const place = await find(envd, path, context);
      const watch = await place.tree.watch(place.inTree, { recursive });
      return { watcherId: watchers.add({ watch, path: place.path, includeEntry }) };
    },

    async getWatcherEvents({ watcherId }) {
      const polled = watchers.get(watcherId);
      if (polled === undefined) throw new ConnectError(`watcher with id ${watcherId.slice(0, 100)} not found`, Code.NotFound);
      const place = { tree: envd.system, path: polled.path };
      return { events: await eventsOf(envd, place, polled.watch.take(), polled.includeEntry) };
    },

    removeWatcher({ watcherId }) {
      if (!watchers.remove(watcherId)) throw new ConnectError(`watcher with id ${watcherId.slice(0, 100)} not found`, Code.NotFound);
      return {};
    },
  };
}

/** Between file systems, and for folders of the image (overlayfs), a rename is refused; mv(1) copies then. */
async function moveByCopy(from: string, to: string): Promise<void> {
  await promisify(execFile)('mv', ['-f', '-T', '--', from, to]).catch((error: unknown) => {
    throw new ConnectError('the move between file systems failed', Code.Internal, undefined, undefined, error);
  });
}

interface Place {
  readonly tree: Tree;
  /** Absolute. */
  readonly path: string;
  readonly inTree: string;
}

async function find(envd: Envd, path: string, context: HandlerContext): Promise<Place> {
  const user = await actingUser(envd, basicUser(context.requestHeader.get('Authorization')));
  const absolute = absolutePath(path, user);
  return { tree: systemTreeOf(envd, user), path: absolute, inTree: systemPath(absolute) };
}

const eventTypes: Readonly<Record<FileChange['type'], EventType>> = {
  created: EventType.CREATE,
  modified: EventType.WRITE,
  removed: EventType.REMOVE,
  renamed: EventType.RENAME,
  attributes: EventType.CHMOD,
  heartbeat: EventType.UNSPECIFIED,
};

/** Names are relative to the watched folder. */
async function eventsOf(
  envd: Envd,
  { tree, path }: Pick<Place, 'tree' | 'path'>,
  changes: readonly FileChange[],
  includeEntry: boolean,
): Promise<Event[]> {
  const events: Event[] = [];
  for (const { type, path: name } of changes) {
    const event = { name, type: eventTypes[type] };
    const entry = includeEntry ? await tree.stat(systemPath(posix.join(path, name))).catch(() => undefined) : undefined;
    events.push(entry === undefined ? event : { ...event, entry: await entryInfo(entry, envd.users) });
  }
  return events;
}

function isCode(error: unknown, code: ApiError['code']): boolean {
  return error instanceof ApiError && error.code === code;
}
