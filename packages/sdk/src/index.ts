export { ApiError } from '@citb/api';
export * from './box.ts';
export * from './client.ts';
export { ConnectionError } from './errors.ts';
export * from './exec.ts';
export * from './files.ts';
export * from './task.ts';
export * from './terminal.ts';
