// The nodes of XenStore as an immutable tree: a change makes new nodes along the path and shares the rest, so a transaction is a
// remembered root, and "has this node changed?" is a comparison of object identities.

import { splitPath } from "./path.js";
import type { Permissions } from "./permissions.js";

export interface StoreNode {
  readonly value: Uint8Array;
  readonly permissions: Permissions;
  readonly children: ReadonlyMap<string, StoreNode>;
}

const EMPTY: Uint8Array = new Uint8Array(0);

export function newNode(permissions: Permissions, value = EMPTY): StoreNode {
  return { value, permissions, children: new Map() };
}

export function findNode(root: StoreNode, path: string): StoreNode | undefined {
  let node: StoreNode | undefined = root;
  for (const part of splitPath(path)) {
    node = node.children.get(part);
    if (!node) return undefined;
  }
  return node;
}

/** A root in which the node at `path` is `node`, or is gone. The parent must exist. */
export function replaceNode(root: StoreNode, path: string, node: StoreNode | undefined): StoreNode {
  return replaceAt(root, splitPath(path), 0, node);
}

function replaceAt(root: StoreNode, parts: readonly string[], depth: number, node: StoreNode | undefined): StoreNode {
  const name = parts[depth]!;
  const children = new Map(root.children);
  const child = root.children.get(name);
  const replacement = depth === parts.length - 1 ? node : replaceAt(child!, parts, depth + 1, node);
  if (replacement) children.set(name, replacement);
  else children.delete(name);
  return { ...root, children };
}

/** What a domain owns: nodes, and their bytes as the quota `memory` counts them. */
export interface Holdings {
  readonly nodes: number;
  readonly bytes: number;
}

export const NO_HOLDINGS: Holdings = { nodes: 0, bytes: 0 };

const NODE_BYTES = 24;
const PERMISSION_BYTES = 8;

/** Of one node without those below: path, permissions, value. */
export function bytesOfNode(path: string, { permissions, value }: Pick<StoreNode, "permissions" | "value">): number {
  return NODE_BYTES + path.length + PERMISSION_BYTES * permissions.length + value.length;
}

export function addHolding(all: Map<number, Holdings>, owner: number, nodes: number, bytes: number): void {
  const old = all.get(owner);
  all.set(owner, { nodes: (old?.nodes ?? 0) + nodes, bytes: (old?.bytes ?? 0) + bytes });
}

/** Adds one node, or with -1 takes it away. */
export function countNode(all: Map<number, Holdings>, path: string, node: StoreNode, by: 1 | -1): void {
  addHolding(all, node.permissions[0].domid, by, by * bytesOfNode(path, node));
}

/** The same for a node and all below it. */
export function countTree(all: Map<number, Holdings>, path: string, node: StoreNode, by: 1 | -1): void {
  countNode(all, path, node, by);
  for (const [name, child] of node.children) countTree(all, childPath(path, name), child, by);
}

export function childPath(path: string, name: string): string {
  return path === "/" ? `/${name}` : `${path}/${name}`;
}

/** Paths of a node and all below it. */
export function* pathsBelow(node: StoreNode, path: string): Generator<string> {
  yield path;
  for (const [name, child] of node.children) yield* pathsBelow(child, childPath(path, name));
}
