import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { aptNetworkSettings } from './apt-sources.ts';

/** Where {@link buildSettings} is mounted while a Dockerfile is built. */
const at = '/run/citb-build';

/** Files of the machine that a build may need to reach archives, with the variables that name them to programs. */
const files: readonly { readonly from: string; readonly name: string; readonly variables: readonly string[] }[] = [
  {
    from: '/etc/ssl/certs/ca-certificates.crt',
    name: 'certificates',
    variables: ['SSL_CERT_FILE', 'CURL_CA_BUNDLE', 'GIT_SSL_CAINFO', 'NODE_EXTRA_CA_CERTS', 'PIP_CERT', 'REQUESTS_CA_BUNDLE'],
  },
  { from: join(homedir(), '.npmrc'), name: 'npmrc', variables: ['NPM_CONFIG_USERCONFIG'] },
  { from: '/etc/pip.conf', name: 'pip.conf', variables: ['PIP_CONFIG_FILE'] },
  { from: join(homedir(), '.config/pip/pip.conf'), name: 'user-pip.conf', variables: ['PIP_CONFIG_FILE'] },
];

/**
 * Copies the machine's settings for reaching package archives into a folder, which is mounted during a build only: an
 * image must not carry this machine's proxies, certificates and tokens.
 * @returns the variables for the build
 */
export async function buildSettings(folder: string): Promise<Record<string, string>> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'apt.conf'), await aptNetworkSettings());
  const env: Record<string, string> = { APT_CONFIG: `${at}/apt.conf`, DEBIAN_FRONTEND: 'noninteractive' };
  for (const { from, name, variables } of files) {
    if (
      !(await stat(from).then(
        (found) => found.isFile(),
        () => false,
      ))
    )
      continue;
    await copyFile(from, join(folder, name));
    for (const variable of variables) env[variable] = `${at}/${name}`;
  }
  return env;
}
