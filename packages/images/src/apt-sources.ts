import { run } from './command.ts';

/**
 * Lines of sources.list for a Debian release, as this machine's own apt is configured (both forms of its files, through
 * apt itself). Empty when the machine does not follow that release: mmdebstrap then knows where Debian is.
 */
export async function aptSources(release: string): Promise<readonly string[]> {
  const format = '$(CODENAME)|$(REPO_URI) $(RELEASE) $(COMPONENT)';
  const listed = await run('The apt sources of this machine cannot be read', 'apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
    'Origin: Debian',
  ]);
  return sourceLines(release, listed);
}

/** @param listed lines `codename|uri release component` */
export function sourceLines(release: string, listed: string): readonly string[] {
  const ofRelease = new RegExp(`^${release}(-(updates|security))?$`);
  const lines = listed
    .split('\n')
    .map((line) => line.split('|'))
    .filter(([codename]) => codename !== undefined && ofRelease.test(codename))
    .map(([, source]) => `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${source}`);
  return [...new Set(lines)];
}

/** The machine's apt settings for reaching the archive (proxies, certificates), as an apt.conf for the time of a build. */
export async function aptNetworkSettings(): Promise<string> {
  const dump = await run('The apt settings of this machine cannot be read', 'apt-config', ['dump']);
  return dump
    .split('\n')
    .filter((line) => /^Acquire::(https?|ftp)::|^Acquire::(Retries|Check-Valid-Until|Check-Date)\b/i.test(line))
    .concat('Acquire::Retries "3";', '')
    .join('\n');
}
