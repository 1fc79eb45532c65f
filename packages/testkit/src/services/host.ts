import type { DrainReport, HostHealth, HostStatus, MaintenanceReport } from '@citb/api';
import type { HostInfo } from '@citb/host/services.ts';
import type { BoxesDouble } from './boxes.ts';

/** A host with the status of its boxes. */
export class HostDouble implements HostInfo {
  /** What `health` answers; tests change it. */
  current: HostHealth = { status: 'ok', version: '0.0.0-test', vmm: 'double', accelerator: 'none', reason: 'a double runs nothing' };
  /** What each box takes beside its disk. */
  takes = { saved_mib: 0, checkpoints_mib: 0 };
  readonly #boxes: BoxesDouble;
  readonly #started = Date.now();

  constructor(boxes: BoxesDouble) {
    this.#boxes = boxes;
  }

  health(): HostHealth {
    return this.current;
  }

  async status(): Promise<HostStatus> {
    const boxes = [...this.#boxes.all.values()];
    return {
      host: {
        version: this.current.version,
        hostname: 'testhost',
        started: new Date(this.#started).toISOString(),
        uptime_s: (Date.now() - this.#started) / 1000,
        vmm: 'double',
        vmm_version: '0',
        accelerator: 'none',
        accelerator_reason: 'a double runs nothing',
        isolation: { uid: false, cgroup: 'none', seccomp: false },
        model: { base_url: 'http://127.0.0.1:1', default_key: true, default_model: 'claude-test' },
      },
      capacity: {
        cpus: 2,
        memory_mib: 4096,
        memory_committed_mib: boxes.reduce((sum, box) => sum + box.memory_mib, 0),
        memory_limit_mib: 4096,
        disk_free_mib: 10_000,
        boxes: boxes.length,
        max_boxes: this.#boxes.maxBoxes,
      },
      templates: [],
      boxes: boxes.map((box) => ({
        id: box.id,
        user_id: box.user_id,
        runtime: box.runtime,
        state: box.state,
        pid: box.pid,
        vm_ip: box.vm_ip,
        age_s: (Date.now() - Date.parse(box.created)) / 1000,
        disk_used_mib: 1,
        ...this.takes,
        disk_mib: box.disk_mib,
        memory_used_mib: 10,
        memory_held_mib: 384,
        memory_mib: box.memory_mib,
        tasks: { running: 0, queued: 0 },
      })),
    };
  }

  async drain(): Promise<DrainReport> {
    this.current = { ...this.current, status: 'stopping' };
    return { paused: [...this.#boxes.all.keys()], left: [] };
  }

  async maintain(): Promise<MaintenanceReport> {
    return { status: 'ok', cleaned: { processes: [], folders: [], rows: [], cgroups: [] } };
  }
}
