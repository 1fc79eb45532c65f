export * from './body.ts';
export * from './http.ts';
export * from './log.ts';
export * from './range.ts';
