import { setTimeout as sleep } from 'node:timers/promises';
import { anyState } from './box.ts';
import { readDatabase } from './check/database.ts';
import type { Client } from './client.ts';
import { commands } from './commands.ts';
import type { Daemon } from './daemon.ts';
import { exec } from './exec.ts';
import type { Lane } from './lane.ts';
import type { Fault } from './plan.ts';

/** Kills what the fault says, when its time has come. @returns whether there was something to kill */
export async function strike(fault: Fault, daemon: Daemon, client: Client, lanes: readonly Lane[]): Promise<boolean> {
  const lane = lanes[fault.lane];
  if (lane === undefined) return false;
  await sleep(fault.afterMs);
  if (fault.victim === 'vmm') return killMachine(daemon.dataDir, lane);
  if (fault.victim === 'envd' || fault.victim === 'agent') return await killService(fault.victim, client, lane);
  for (const each of lanes) each.disturbed = true;
  if (fault.victim === 'daemon twice') daemon.nextDiesIn(fault.steps);
  if (fault.victim === 'daemon at a step') daemon.dieIn(fault.steps);
  else daemon.kill();
  return true;
}

async function killService(service: 'envd' | 'agent', client: Client, lane: Lane): Promise<boolean> {
  const box = lane.boxes.get('first');
  if (box === undefined || (service === 'agent' && !box.agent)) return false;
  lane.disturbed = true;
  // The command itself wakes it.
  box.states = new Set(anyState);
  for (;;) {
    const outcome = await exec(client, box.id, service === 'envd' ? commands.killEnvd : commands.killAgent);
    // Its end was not told: it sleeps with its box, or goes on without its daemon, and would kill at any time. The next one comes after it.
    if (outcome !== undefined) return outcome.code === 'ok' || outcome.code.startsWith('exit');
  }
}

/** All machines of the lane, as the database has them; a pid that is just being used again is no other's: the host's folder is private to the suite. */
function killMachine(dataDir: string, lane: Lane): boolean {
  lane.disturbed = true;
  for (const box of lane.boxes.values()) {
    box.machineKilled = true;
    if (box.states.has('running')) box.states = new Set([...box.states, 'stopped']);
  }
  const ids = new Set([...lane.boxes.values()].map((box) => box.id));
  const pids = readDatabase(dataDir, (database) =>
    database.boxes().flatMap((row) => (ids.has(row.id) && row.pid !== null ? [row.pid] : [])),
  );
  let killed = false;
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
      killed = true;
    } catch {
      // It has ended by itself.
    }
  }
  return killed;
}
