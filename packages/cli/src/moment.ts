import { InvalidArgumentError } from 'commander';

const unitsS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90`, `90s`, `10m`, `2h`, `7d`: seconds. @throws InvalidArgumentError */
export function seconds(text: string): number {
  const match = /^(\d+)([smhd]?)$/.exec(text);
  const value = Number(match?.[1]) * (unitsS[match?.[2] || 's'] ?? Number.NaN);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number of seconds, or like 10m, 2h, 7d.');
  return value;
}

/** As {@link seconds}; `never` is null. */
export function secondsOrNever(text: string): number | null {
  return text === 'never' ? null : seconds(text);
}

/** A moment as a date, or as a time from now; `no` is null. @throws InvalidArgumentError */
export function moment(text: string): Date | null {
  if (text === 'no') return null;
  if (/^\d+[smhd]$/.test(text)) return new Date(Date.now() + seconds(text) * 1000);
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) throw new InvalidArgumentError('It must be a date (2026-01-31T12:00:00Z) or a time from now (2h).');
  return date;
}
