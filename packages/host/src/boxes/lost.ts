import { ApiError } from '@citb/api';
import type { VmExit } from '../vmm/vmm.ts';
import type { LiveBox } from './access.ts';
import type { BoxParts } from './parts.ts';
import { failuresInARow } from './recent-failures.ts';
import { withConsole } from './console-end.ts';

/** Has the box's writer note the end of its machine, whenever that comes. */
export async function watchVm(parts: BoxParts, box: LiveBox): Promise<void> {
  const exit = await box.vm.exited;
  // Out of the list at once, so that who comes now waits for the writer; false: another run, or a kill, had it already.
  if (!parts.live.take(box)) return;
  try {
    await parts.writers.run(box.id, () => loseBox(parts, box, exit));
  } catch (error) {
    // A kill came first, or the daemon stops: those put the rows right. Anything else does the reconciler.
    if (!(error instanceof ApiError)) parts.log.error({ err: error, box: box.id }, 'the end of a machine could not be noted');
  }
}

/** The machine ended by itself: the box is `stopped` (`failed`, if it goes on so), with its disk, and starts again on the next request. */
export async function loseBox(parts: BoxParts, box: LiveBox, exit: VmExit): Promise<void> {
  const { rows, broker, admission, live, logs, events, log } = parts;
  const row = rows.get(box.id);
  // Both a pause that failed and whoever watches the machine come with its end: it counts once.
  if (row?.runId !== box.runId || row.state !== 'running') return;
  const how = exit.signal ?? (exit.code === undefined ? 'exit code unknown' : `exit code ${exit.code}`);
  const reason = withConsole(`Its machine ended (${how}).`, box.vm.console());
  log.warn({ box: box.id, run: box.runId, exit }, 'the machine of a box ended');
  admission.release(box.id);
  logs.detach(box.id);
  logs.note(box.id, reason);
  const failed = parts.failures.add(box.id) >= failuresInARow;
  rows.store.transaction(() => {
    rows.move(box.id, failed ? 'failed' : 'stopped', 'lost', reason);
    events.add(box.id, 'lost', { reason });
  });
  await broker.close(box.id);
  live.lost(box);
}
