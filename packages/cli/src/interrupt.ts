/** Does something that Ctrl-C ends, and then without an error: the signal is aborted by it. @throws what `work` throws otherwise */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const left = new AbortController();
  const leave = (): void => left.abort();
  process.once('SIGINT', leave);
  try {
    await work(left.signal);
  } catch (error) {
    if (!left.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', leave);
  }
}
