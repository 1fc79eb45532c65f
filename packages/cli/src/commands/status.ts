import type { Command } from 'commander';
import type { HostStatus } from '@citb/api';
import type { Cli } from '../cli.ts';
import { duration, mebibytes, oneLine, table } from '../render/index.ts';

/** `citb status`: the host and its boxes. */
export function addStatus(program: Command, cli: Cli): void {
  program
    .command('status')
    .summary('show the host, its capacity and its boxes')
    .description('Shows the host, its capacity and its boxes.')
    .option('--json', 'print it as JSON')
    .addHelpText('after', '\nExamples:\n  citb status\n  citb status --json | jq .capacity')
    .action(async (flags: { json?: true }) => {
      await using citb = await cli.client();
      const status = await citb.status();
      if (flags.json) return cli.print(JSON.stringify(status));
      for (const [name, value] of facts(status)) cli.print(`${cli.colours.dim(name.padEnd(12))} ${value}`);
      if (status.boxes.length === 0) return;
      cli.print('');
      cli.print(
        table(
          cli.colours,
          ['BOX', 'USER', 'RUNTIME', 'STATE', 'PID', 'ADDRESS', 'AGE', 'MEMORY', 'DISK', 'SAVED', 'CHECKPOINTS', 'TASKS'],
          status.boxes.map(row),
        ),
      );
    });
}

function facts({ host, capacity }: HostStatus): [string, string][] {
  const confined = [host.isolation.uid ? 'own uid' : '', cgroup(host.isolation.cgroup), host.isolation.seccomp ? 'seccomp' : ''].filter(
    Boolean,
  );
  return [
    ['host', `${host.hostname}, version ${host.version}, up ${duration(host.uptime_s * 1000)}`],
    ['machines', `${host.vmm} ${host.vmm_version}, ${host.accelerator}: ${host.accelerator_reason}`],
    ['confined by', confined.join(', ')],
    [
      'model',
      `${host.model.default_model} at ${host.model.base_url}, ${host.model.default_key ? 'with a key of the host' : 'no key of the host: each box needs its own'}`,
    ],
    [
      'memory',
      `${mebibytes(capacity.memory_committed_mib)} given to boxes of ${mebibytes(capacity.memory_limit_mib)} (machine: ${mebibytes(capacity.memory_mib)})`,
    ],
    ['disk', `${mebibytes(capacity.disk_free_mib)} free`],
    ['boxes', `${capacity.boxes} of at most ${capacity.max_boxes}; ${capacity.cpus} processors`],
  ].map(([name = '', value = '']) => [name, oneLine(value, 400)]);
}

function cgroup(kind: HostStatus['host']['isolation']['cgroup']): string {
  return kind === 'none' ? '' : `cgroup ${kind}`;
}

function row(box: HostStatus['boxes'][number]): string[] {
  const used = box.memory_used_mib === null ? '-' : mebibytes(box.memory_used_mib);
  return [
    box.id,
    box.user_id ?? '-',
    box.runtime,
    box.state,
    box.pid === null ? '-' : String(box.pid),
    box.vm_ip ?? '-',
    duration(box.age_s * 1000),
    `${used} / ${box.memory_held_mib === 0 ? '-' : mebibytes(box.memory_held_mib)}`,
    `${mebibytes(box.disk_used_mib)} / ${mebibytes(box.disk_mib)}`,
    box.saved_mib === 0 ? '-' : mebibytes(box.saved_mib),
    box.checkpoints_mib === 0 ? '-' : mebibytes(box.checkpoints_mib),
    `${box.tasks.running} run, ${box.tasks.queued} wait`,
  ];
}
