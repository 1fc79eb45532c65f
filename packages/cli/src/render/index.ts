export * from './colours.ts';
export * from './printable.ts';
export * from './progress.ts';
export * from './table.ts';
export * from './task.ts';
export * from './units.ts';
