export { type TreeEntry, fileEntry } from './entry.ts';
export type { ListOptions, Listing } from './list.ts';
export type { Ground, Owner } from './place.ts';
export type { Body } from './pour.ts';
export type { OpenFile } from './read.ts';
export { type Tree, openTree } from './tree.ts';
export type { Watch } from './watch.ts';
export type { WriteOptions } from './write.ts';
