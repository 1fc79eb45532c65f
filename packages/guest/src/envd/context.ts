import type { Logger } from '@citb/daemon';
import type { Flush } from '../flush.ts';
import type { Tree } from '../tree/index.ts';
import type { Machine } from './machine.ts';
import type { Processes } from './process/processes.ts';
import type { Session } from './session.ts';
import type { Users } from './users.ts';

/** What the routes and services work with. */
export interface Envd {
  readonly session: Session;
  readonly users: Users;
  readonly machine: Machine;
  readonly log: Logger;
  readonly processes: Processes;
  /** The workspace, confined; what is written belongs to the box's user. */
  readonly workspace: Tree;
  /** Its folder. */
  readonly workspacePath: string;
  /** The whole file system, for E2B's services. */
  readonly system: Tree;
  /** What was written is on the disk before it is said to be done. */
  readonly flush: Flush;
  /** True when envd may act for others: it runs as root. */
  readonly root: boolean;
}
