export * from './client.ts';
export * from './double.ts';
export * from './refused.ts';
export * from './script.ts';
export * from './start-server.ts';
export { completion } from './tasks.ts';
