import * as boxes from './boxes.ts';
import * as classic from './classic.ts';
import * as files from './files.ts';
import * as host from './host.ts';
import * as processes from './processes.ts';
import type { RouteSpec } from './route.ts';
import * as tasks from './tasks.ts';

export * from './route.ts';
export { boxes, classic, files, host, processes, tasks };

/** Every route of the host, in the order of the document. (Namespaces list their names by the alphabet.) */
export const allRoutes: readonly RouteSpec[] = [
  classic.createMicrovm,
  classic.claudeInTheBox,
  classic.listWorkspaceFiles,
  classic.downloadFile,
  classic.listProcesses,
  classic.status,
  classic.killMicrovm,
  classic.health,
  classic.maintenance,
  boxes.createBox,
  boxes.listBoxes,
  boxes.getBox,
  boxes.killBox,
  boxes.boxLogs,
  tasks.createTask,
  tasks.listTasks,
  tasks.getTask,
  tasks.taskEvents,
  tasks.cancelTask,
  tasks.answerQuestion,
  files.listFiles,
  files.readFile,
  files.writeFile,
  files.removeFile,
  files.makeFolder,
  files.moveFile,
  files.downloadArchive,
  files.uploadArchive,
  files.watchFiles,
  processes.exec,
  processes.processList,
  processes.processOutput,
  processes.processInput,
  processes.processSignal,
  processes.terminal,
  host.statusV1,
  host.openapi,
  host.docs,
];
