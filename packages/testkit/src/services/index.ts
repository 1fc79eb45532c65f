export * from './double.ts';
export * from './script.ts';
export * from './start-server.ts';
export { completion } from './tasks.ts';
