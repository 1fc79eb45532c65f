import { InvalidArgumentError } from 'commander';

/** A whole number above 0. */
export function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number above 0.');
  return value;
}

/** A whole number, 0 or above. */
export function wholeFromZero(text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number, 0 or above.');
  return value;
}

/** A number above 0. */
export function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

/** `name=value`, may be repeated. A name alone takes its value from `env`. */
export function collectPairs(env: Readonly<Record<string, string | undefined>>) {
  return (text: string, before: Record<string, string> = {}): Record<string, string> => {
    const at = text.indexOf('=');
    const name = at < 0 ? text : text.slice(0, at);
    const value = at < 0 ? env[text] : text.slice(at + 1);
    if (name === '') throw new InvalidArgumentError('It must be NAME=VALUE.');
    if (value === undefined) throw new InvalidArgumentError(`It must be NAME=VALUE; ${name} alone has no value here.`);
    return { ...before, [name]: value };
  };
}

/** Each time that the option is given, in order. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
