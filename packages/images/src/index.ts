export * from './create-images.ts';
export * from './data-dir.ts';
export * from './image-error.ts';
export * from './images.ts';
