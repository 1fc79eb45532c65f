/** An image that cannot be built, in words for the person at the terminal. */
export class ImageError extends Error {
  /** What to do now. */
  readonly hint: string;
  /** The last lines that the failed program wrote. */
  readonly output: readonly string[];

  constructor(message: string, hint: string, output: readonly string[] = [], cause?: unknown) {
    super([message, hint, ...output.map((line) => `  | ${line}`)].join('\n'), cause === undefined ? undefined : { cause });
    this.name = 'ImageError';
    this.hint = hint;
    this.output = output;
  }
}

/** What a program's last words tell about the cause, so that the hint fits; undefined when they tell nothing known. */
export function hintFor(output: readonly string[]): string | undefined {
  const text = output.join('\n');
  if (/No space left on device|ENOSPC|Disk quota exceeded/i.test(text)) {
    return 'The disk is full: free some space (the images take about 4 GB) or set CITB_DATA_DIR to a folder on a larger disk, then try again.';
  }
  if (
    /Could not resolve|Temporary failure|Failed to fetch|Unable to connect|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|Network is unreachable/i.test(
      text,
    )
  ) {
    return 'The network or a package archive cannot be reached: check the connection and the proxy settings of apt and npm, then try again.';
  }
  if (/newuidmap|newgidmap|subuid|subgid|unprivileged_userns|cannot clone|uid_map/i.test(text)) {
    return 'User namespaces are not set up for this user: add it to /etc/subuid and /etc/subgid (`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER`), or run as root.';
  }
  return undefined;
}
