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

/** Number of nodes that each domain owns in a subtree, added to `counts` times `factor`. */
export function countOwned(node: StoreNode, counts: Map<number, number>, factor: 1 | -1): void {
  const owner = node.permissions[0].domid;
  counts.set(owner, (counts.get(owner) ?? 0) + factor);
  for (const child of node.children.values()) countOwned(child, counts, factor);
}

/** Paths of a node and all below it. */
export function* pathsBelow(node: StoreNode, path: string): Generator<string> {
  yield path;
  for (const [name, child] of node.children) yield* pathsBelow(child, path === "/" ? `/${name}` : `${path}/${name}`);
}
