import * as boxes from './boxes.ts';
import * as checkpoints from './checkpoints.ts';
import * as classic from './classic.ts';
import * as files from './files.ts';
import * as host from './host.ts';
import * as lifecycle from './lifecycle.ts';
import * as processes from './processes.ts';
import type { RouteSpec } from './route.ts';
import * as tasks from './tasks.ts';
import * as transfer from './transfer.ts';

export * from './route.ts';
export { boxes, checkpoints, classic, files, host, lifecycle, processes, tasks, transfer };

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
  lifecycle.updateBox,
  boxes.killBox,
  lifecycle.pauseBox,
  lifecycle.resumeBox,
  lifecycle.stopBox,
  lifecycle.boxEvents,
  boxes.boxLogs,
  checkpoints.createCheckpoint,
  checkpoints.listCheckpoints,
  checkpoints.restoreCheckpoint,
  checkpoints.deleteCheckpoint,
  checkpoints.forkBox,
  transfer.exportBox,
  transfer.prepareExport,
  transfer.downloadExport,
  transfer.deleteExport,
  transfer.importBox,
  transfer.beginImport,
  transfer.getImport,
  transfer.appendImport,
  transfer.finishImport,
  transfer.deleteImport,
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
  transfer.usage,
  host.statusV1,
  lifecycle.drainHost,
  host.openapi,
  host.home,
  host.docs,
];
