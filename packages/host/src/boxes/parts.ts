import type { Logger } from '@citb/daemon';
import type { Images } from '@citb/images';
import type { BoxLogs } from '../hostinfo/box-logs.ts';
import type { Idempotency } from '../idempotency.ts';
import type { SealedModelKeys } from '../keys/model-keys.ts';
import type { TemplateSource } from '../templates/templates.ts';
import type { Vmm } from '../vmm/vmm.ts';
import type { LiveBox } from './access.ts';
import type { AddressBook } from './address-book.ts';
import type { Admission } from './admission.ts';
import type { BootSlots } from './boot-slots.ts';
import type { LiveBoxes } from './live.ts';
import type { BrokerSockets, GuestStart, PrivateDisks } from './ports.ts';
import type { RestingBoxes } from './idle.ts';
import type { RecentFailures } from './recent-failures.ts';
import type { BoxEvents } from './events/events.ts';
import type { BoxRows } from './rows.ts';
import type { Writers } from './writer.ts';

/** What the verbs of a box (start, adopt, lose, kill) work with. */
export interface BoxParts {
  readonly rows: BoxRows;
  readonly live: LiveBoxes;
  readonly writers: Writers<LiveBox>;
  readonly vmm: Vmm;
  readonly images: Images;
  readonly disks: PrivateDisks;
  readonly addresses: AddressBook;
  readonly broker: BrokerSockets;
  readonly guest: GuestStart;
  readonly admission: Admission;
  readonly bootSlots: BootSlots;
  readonly failures: RecentFailures;
  readonly idempotency: Idempotency;
  readonly modelKeys: SealedModelKeys;
  readonly logs: BoxLogs;
  readonly events: BoxEvents;
  readonly templates: TemplateSource;
  readonly restingBoxes: RestingBoxes;
  readonly log: Logger;
  readonly settings: BoxSettings;
  /** ms since 1970. */
  readonly now: () => number;
}

export interface BoxSettings {
  readonly dataDir: string;
  /** Size of a private disk when the request names none, MiB. */
  readonly diskMib: number;
  /** Idle time when the request names none, s; 0: boxes are not paused by themselves. */
  readonly idleS: number;
  /** The agent's model when a task names none. */
  readonly model: string;
  /** From the boot of a machine until its services answer, ms. Generous: a machine that ended is noticed at once, whatever this is. */
  readonly startDeadlineMs: number;
}
