// The XenStore database: nodes, permissions, quota, and transactions. A plain engine without connections or rings. Paths are
// absolute and checked (path.ts). Failures are StoreErrors.
// Invariant: `holdings` is what each domain owns in the present tree.

import { XENSTORE_REL_PATH_MAX } from "../public/io/xs_wire.js";
import { joinPath, splitPath } from "./path.js";
import { inherit, isAllowed, ownerOf, type Permissions } from "./permissions.js";
import { StoreError } from "./store-error.js";
import {
  addHolding,
  bytesOfNode,
  childPath,
  countNode,
  countTree,
  findNode,
  type Holdings,
  NO_HOLDINGS,
  newNode,
  pathsBelow,
  replaceNode,
  type StoreNode,
} from "./tree.js";

/** What an unprivileged domain may have, with xenstored's values; XS_CONTROL changes them. */
export interface StoreQuota {
  /** Nodes that it may own. */
  nodes: number;
  watches: number;
  transactions: number;
  /** Requests whose replies and events aren't all with those they go to. */
  outstanding: number;
  /** Nodes that a transaction depends on. */
  transactionNodes: number;
  /** Bytes of its nodes, watches, transactions, requests and what waits for it. */
  memory: number;
  /** Bytes of name and value of one node. */
  nodeBytes: number;
  /** Bytes of a relative path. */
  pathLength: number;
  /** Entries of one node's permissions. */
  permissions: number;
}

export const DEFAULT_QUOTA: Readonly<StoreQuota> = {
  ...{ nodes: 1000, watches: 128, transactions: 10, outstanding: 20, transactionNodes: 1024 },
  ...{ memory: 2560 * 1024, nodeBytes: 2048, pathLength: XENSTORE_REL_PATH_MAX, permissions: 5 },
};

/** Bytes of which a line in the log tells when a domain has more. */
export const DEFAULT_SOFT_MEMORY = 2048 * 1024;

/** As xenstored calls them, in its order. */
export const QUOTA_NAMES: Readonly<Record<string, keyof StoreQuota>> = {
  ...{ nodes: "nodes", watches: "watches", transactions: "transactions", outstanding: "outstanding" },
  ...{ "transaction-nodes": "transactionNodes", memory: "memory" },
  ...{ "node-size": "nodeBytes", "path-max": "pathLength", permissions: "permissions" },
};

/** A change that watches are told of. */
export interface Change {
  readonly path: string;
  /** Permissions of the node that changed (its former ones when it is gone): only who may read it is told. */
  readonly permissions: Permissions;
  /** Came into being only because a node below was written: no watch is told. */
  readonly isImplied?: true;
}

/** Something that nodes can be read from and written to: the store itself, or a transaction. */
export interface StoreView {
  root: StoreNode;
  /** Changes so far, in order. */
  readonly changes: Change[];
  /** What each domain has gained in this view. */
  readonly gained: Map<number, Holdings>;
  /** Called with each path whose node, present or not, influenced a result, and how much of it did. */
  touch(path: string, scope: Scope): void;
}

/** The node's value and permissions; its children's names too; or all that is below it. */
export type Scope = "node" | "children" | "tree";
const SCOPES: readonly Scope[] = ["node", "children", "tree"];

const NOTHING: Uint8Array = new Uint8Array(0);
const ROOT_PERMISSIONS: Permissions = [{ access: "r", domid: 0 }];

export class XenStore {
  readonly quota: StoreQuota;
  #root = newNode(ROOT_PERMISSIONS);
  readonly #holdings = new Map<number, Holdings>();
  /** XS_SET_TARGET: a domain that acts for another (a device model's) has its rights too. */
  readonly targets = new Map<number, number>();
  /** Called after changes were made for good. */
  onChanges: (changes: readonly Change[]) => void = () => {};
  /** Bytes that a domain uses of the quota `memory` beside its nodes. */
  memoryElsewhere: (domid: number) => number = () => 0;
  softMemory = DEFAULT_SOFT_MEMORY;

  constructor(quota: Partial<StoreQuota> = {}) {
    countTree(this.#holdings, "/", this.#root, 1);
    this.quota = { ...DEFAULT_QUOTA, ...quota };
  }

  get root(): StoreNode {
    return this.#root;
  }

  /** Number of nodes a domain owns, and their bytes. */
  owned(domid: number): Holdings {
    return this.#holdings.get(domid) ?? NO_HOLDINGS;
  }

  /** Bytes that a domain uses of the quota `memory`. */
  memoryOf(domid: number): number {
    return this.owned(domid).bytes + this.memoryElsewhere(domid);
  }

  /** Runs single operations directly on the store; watches hear of them when `run` returns. */
  direct<T>(run: (view: StoreView) => T): T {
    const view: StoreView = { root: this.#root, changes: [], gained: new Map(), touch: () => {} };
    const result = run(view);
    this.#install(view.root, view.changes);
    return result;
  }

  #install(root: StoreNode, changes: readonly Change[]): void {
    if (root === this.#root) return;
    this.#recount("/", this.#root, root);
    this.#root = root;
    this.onChanges(changes);
  }

  /** Follows only the parts of the trees that differ. */
  #recount(path: string, old: StoreNode | undefined, present: StoreNode | undefined): void {
    if (old === present) return;
    if (!old || !present) {
      if (old) countTree(this.#holdings, path, old, -1);
      if (present) countTree(this.#holdings, path, present, 1);
      return;
    }
    countNode(this.#holdings, path, old, -1);
    countNode(this.#holdings, path, present, 1);
    for (const name of new Set([...old.children.keys(), ...present.children.keys()]))
      this.#recount(childPath(path, name), old.children.get(name), present.children.get(name));
  }

  /** Puts a whole tree in place of what there is; nobody is told. */
  replace(root: StoreNode): void {
    this.#recount("/", this.#root, root);
    this.#root = root;
  }

  /** Counts anew what each domain owns. @returns a line for each count that was wrong, and isn't any more */
  check(): string[] {
    const counted = new Map<number, Holdings>();
    countTree(counted, "/", this.#root, 1);
    const lines: string[] = [];
    for (const domid of new Set([...counted.keys(), ...this.#holdings.keys()])) {
      const [right, wrong] = [counted.get(domid) ?? NO_HOLDINGS, this.owned(domid)];
      if (right.nodes !== wrong.nodes || right.bytes !== wrong.bytes)
        lines.push(
          `domain ${domid} owns ${right.nodes} nodes of ${right.bytes} bytes, not ${wrong.nodes} of ${wrong.bytes}`,
        );
      this.#holdings.set(domid, right);
    }
    return lines;
  }

  /** @param room bytes that are left of the quota `memory` */
  begin(room: () => number = () => Number.POSITIVE_INFINITY): Transaction {
    return new Transaction(this.#root, room);
  }

  /**
   * Makes a transaction's changes for good.
   * @throws StoreError EAGAIN when a node it depends on has changed since; ENOSPC when the domain would own too many
   */
  commit(transaction: Transaction, domid: number): void {
    if (transaction.root === transaction.base) return;
    if (this.#root === transaction.base) {
      this.#install(transaction.root, transaction.changes);
      return;
    }
    for (const [owner, gained] of transaction.gained) this.#require(domid, owner, gained);
    for (const [path, scope] of transaction.touched)
      if (!isSame(findNode(this.#root, path), findNode(transaction.base, path), scope)) throw new StoreError("EAGAIN");
    let root = this.#root;
    // What changed in the transaction was touched, so it is as it was at the start: its outcome can be put in place.
    for (const { path } of transaction.changes) root = graft(root, path, findNode(transaction.root, path));
    this.#install(root, transaction.changes);
  }

  /** May `domid` make `owner` own so much more? Giving up is always allowed, and dom0 isn't asked. */
  #require(domid: number, owner: number, { nodes, bytes }: Holdings): void {
    if (domid === 0 || owner === 0) return;
    if (nodes > 0 && this.owned(owner).nodes + nodes > this.quota.nodes) throw new StoreError("ENOSPC");
    if (bytes > 0 && this.memoryOf(owner) + bytes > this.quota.memory) throw new StoreError("ENOMEM");
  }

  #requireMore(view: StoreView, domid: number, owner: number, nodes: number, bytes: number): void {
    const gained = view.gained.get(owner) ?? NO_HOLDINGS;
    // What a transaction gained is its domain's memory until its end, and counted there.
    const more = view instanceof Transaction ? bytes + nodes * TOUCHED_BYTES : gained.bytes + bytes;
    this.#require(domid, owner, { nodes: gained.nodes + nodes, bytes: more });
  }

  // --- operations ---

  #isAllowed(permissions: Permissions, domid: number, access: "r" | "w"): boolean {
    if (isAllowed(permissions, domid, access)) return true;
    const target = this.targets.get(domid);
    return target !== undefined && isAllowed(permissions, target, access);
  }

  /** The node, which `domid` must be allowed to access so. */
  node(view: StoreView, domid: number, path: string, access: "r" | "w", scope: Scope = "node"): StoreNode {
    view.touch(path, scope);
    const node = findNode(view.root, path);
    if (node) {
      if (!this.#isAllowed(node.permissions, domid, access)) throw new StoreError("EACCES");
      return node;
    }
    // Whether it exists is a secret of those who may read its parent.
    const parent = this.#nearest(view, path);
    throw new StoreError(this.#isAllowed(parent.node.permissions, domid, "r") ? "ENOENT" : "EACCES");
  }

  /** The nearest ancestor that exists, and how many components it has. */
  #nearest(view: StoreView, path: string): { node: StoreNode; depth: number } {
    const parts = splitPath(path);
    for (let depth = parts.length - 1; depth > 0; depth--) {
      const ancestor = joinPath(parts.slice(0, depth));
      view.touch(ancestor, "node");
      const node = findNode(view.root, ancestor);
      if (node) return { node, depth };
    }
    view.touch("/", "node");
    return { node: view.root, depth: 0 };
  }

  read(view: StoreView, domid: number, path: string): Uint8Array {
    return this.node(view, domid, path, "r").value;
  }

  directory(view: StoreView, domid: number, path: string): string[] {
    return [...this.node(view, domid, path, "r", "children").children.keys()];
  }

  permissions(view: StoreView, domid: number, path: string): Permissions {
    return this.node(view, domid, path, "r").permissions;
  }

  exists(view: StoreView, path: string): boolean {
    view.touch(path, "node");
    return findNode(view.root, path) !== undefined;
  }

  write(view: StoreView, domid: number, path: string, value: Uint8Array): void {
    this.#checkSize(domid, path, value);
    view.touch(path, "node");
    const old = findNode(view.root, path);
    if (!old) {
      this.#create(view, domid, path, value);
      return;
    }
    if (!this.#isAllowed(old.permissions, domid, "w")) throw new StoreError("EACCES");
    const owner = ownerOf(old.permissions);
    const more = value.length - old.value.length;
    if (more > 0) this.#requireMore(view, domid, owner, 0, more);
    addHolding(view.gained, owner, 0, more);
    this.#put(view, path, { ...old, value: value.slice() });
  }

  mkdir(view: StoreView, domid: number, path: string): void {
    view.touch(path, "node");
    const old = findNode(view.root, path);
    if (!old) this.#create(view, domid, path);
    else if (!this.#isAllowed(old.permissions, domid, "w")) throw new StoreError("EACCES");
  }

  /** Creates a node and the ancestors that are missing. */
  #create(view: StoreView, domid: number, path: string, value = NOTHING): void {
    const parts = splitPath(path);
    const { node: parent, depth } = this.#nearest(view, path);
    if (!this.#isAllowed(parent.permissions, domid, "w")) throw new StoreError("EACCES");
    const permissions = inherit(parent.permissions, domid);
    const owner = ownerOf(permissions);
    let bytes = value.length;
    for (let at = depth + 1; at <= parts.length; at++)
      bytes += bytesOfNode(joinPath(parts.slice(0, at)), { permissions, value: NOTHING });
    this.#requireMore(view, domid, owner, parts.length - depth, bytes);
    addHolding(view.gained, owner, parts.length - depth, bytes);
    for (let at = depth + 1; at < parts.length; at++) {
      const missing = joinPath(parts.slice(0, at));
      view.root = replaceNode(view.root, missing, newNode(permissions));
      view.changes.push({ path: missing, permissions, isImplied: true });
    }
    this.#put(view, path, newNode(permissions, value.slice()));
  }

  #put(view: StoreView, path: string, node: StoreNode): void {
    view.root = path === "/" ? node : replaceNode(view.root, path, node);
    view.changes.push({ path, permissions: node.permissions });
  }

  /** Removes a node and all below. A missing node with an existing parent is no error. */
  remove(view: StoreView, domid: number, path: string): void {
    if (path === "/") throw new StoreError("EINVAL");
    view.touch(path, "tree");
    const node = findNode(view.root, path);
    if (!node) {
      const parts = splitPath(path);
      const { node: parent, depth } = this.#nearest(view, path);
      if (!this.#isAllowed(parent.permissions, domid, "w")) throw new StoreError("EACCES");
      if (depth < parts.length - 1) throw new StoreError("ENOENT");
      return;
    }
    if (!this.#isAllowed(node.permissions, domid, "w")) throw new StoreError("EACCES");
    const gone = [...pathsBelow(node, path)];
    countTree(view.gained, path, node, -1);
    const { permissions } = node;
    view.root = replaceNode(view.root, path, undefined);
    for (const each of gone) view.changes.push({ path: each, permissions });
  }

  /** Only the owner may; only dom0 may give a node away. */
  setPermissions(view: StoreView, domid: number, path: string, permissions: Permissions): void {
    const node = this.node(view, domid, path, "w");
    if (domid !== 0 && ownerOf(node.permissions) !== domid) throw new StoreError("EACCES");
    if (domid !== 0 && ownerOf(permissions) !== domid) throw new StoreError("EPERM");
    if (domid !== 0 && permissions.length > this.quota.permissions) throw new StoreError("ENOSPC");
    const changed = { ...node, permissions };
    const [owner, before, after] = [ownerOf(permissions), bytesOfNode(path, node), bytesOfNode(path, changed)];
    if (after > before) this.#requireMore(view, domid, owner, 0, after - before);
    addHolding(view.gained, ownerOf(node.permissions), -1, -before);
    addHolding(view.gained, owner, 1, after);
    this.#put(view, path, changed);
  }

  #checkSize(domid: number, path: string, value: Uint8Array): void {
    if (domid !== 0 && path.length + value.length > this.quota.nodeBytes) throw new StoreError("ENOSPC");
  }
}

function isSame(a: StoreNode | undefined, b: StoreNode | undefined, scope: Scope): boolean {
  if (a === b) return true;
  if (!a || !b || scope === "tree") return false;
  // A change below a node makes a new node with the same value and permissions.
  if (a.value !== b.value || a.permissions !== b.permissions) return false;
  if (scope === "node") return true;
  return a.children.size === b.children.size && [...a.children.keys()].every((name) => b.children.has(name));
}

/** Puts the outcome of a transaction's change into a newer tree. */
function graft(root: StoreNode, path: string, node: StoreNode | undefined): StoreNode {
  if (path === "/") return node ? { ...root, value: node.value, permissions: node.permissions } : root;
  const present = findNode(root, path);
  if (!node) return present ? replaceNode(root, path, undefined) : root;
  // Children have changes of their own; those that others made in between stay.
  return replaceNode(root, path, { ...node, children: present?.children ?? new Map() });
}

/** What a transaction costs for each path that it depends on or changed. */
const TOUCHED_BYTES = 32;

/** A view of the store as it was when the transaction began, with its own changes. */
export class Transaction implements StoreView {
  readonly base: StoreNode;
  root: StoreNode;
  readonly changes: Change[] = [];
  readonly gained = new Map<number, Holdings>();
  readonly touched = new Map<string, Scope>();
  readonly #room: () => number;
  #touchedBytes = 0;

  constructor(base: StoreNode, room: () => number) {
    this.base = base;
    this.#room = room;
    this.root = base;
  }

  /** Of the quota `memory` of the domain whose transaction it is. */
  get bytes(): number {
    let gained = 0;
    for (const { bytes } of this.gained.values()) gained += Math.max(0, bytes);
    return TOUCHED_BYTES * (1 + this.changes.length) + this.#touchedBytes + gained;
  }

  /** @throws StoreError ENOMEM */
  touch(path: string, scope: Scope): void {
    const known = this.touched.get(path);
    if (known === undefined) {
      const bytes = TOUCHED_BYTES + path.length;
      if (bytes > this.#room()) throw new StoreError("ENOMEM");
      this.#touchedBytes += bytes;
    }
    if (!known || SCOPES.indexOf(scope) > SCOPES.indexOf(known)) this.touched.set(path, scope);
  }
}
