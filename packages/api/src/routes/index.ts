import * as boxes from './boxes.ts';
import * as classic from './classic.ts';
import * as files from './files.ts';
import * as host from './host.ts';
import * as processes from './processes.ts';
import type { RouteSpec } from './route.ts';
import * as tasks from './tasks.ts';

export * from './route.ts';
export { boxes, classic, files, host, processes, tasks };

/** Every route of the host, in the order of the document. */
export const allRoutes: readonly RouteSpec[] = [classic, boxes, tasks, files, processes, host].flatMap((group) =>
  Object.values<RouteSpec>(group),
);
