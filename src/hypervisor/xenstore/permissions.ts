// Who may do what with a node (docs: xenstore.txt). A list of entries, each a letter and a domain: n none, r read, w write,
// b both. The first names the owner, who may do everything, and with its letter what domains without an entry may.

import { StoreError } from "./store-error.js";

export type Access = "n" | "r" | "w" | "b";

export interface Permission {
  readonly access: Access;
  readonly domid: number;
}

export type Permissions = readonly [Permission, ...Permission[]];

const PATTERN = /^([nrwb])(\d{1,5})$/;
const MAX_DOMID = 0x7ff0;

/** @throws StoreError EINVAL */
export function parsePermissions(texts: readonly string[]): Permissions {
  const parsed = texts.map((text): Permission => {
    const match = PATTERN.exec(text);
    const domid = Number(match?.[2]);
    if (!match || domid >= MAX_DOMID) throw new StoreError("EINVAL");
    return { access: match[1] as Access, domid };
  });
  const [owner, ...others] = parsed;
  if (!owner) throw new StoreError("EINVAL");
  return [owner, ...others];
}

export function formatPermissions(permissions: Permissions): string[] {
  return permissions.map(({ access, domid }) => `${access}${domid}`);
}

export function ownerOf(permissions: Permissions): number {
  return permissions[0].domid;
}

export function isAllowed(permissions: Permissions, domid: number, wanted: "r" | "w"): boolean {
  if (domid === 0 || ownerOf(permissions) === domid) return true;
  const { access } = permissions.slice(1).find((entry) => entry.domid === domid) ?? permissions[0];
  return access === "b" || access === wanted;
}

/** What a new node gets from its parent: the same entries, but an unprivileged creator owns it. */
export function inherit(parent: Permissions, creator: number): Permissions {
  if (creator === 0) return parent;
  const [owner, ...others] = parent;
  return [{ access: owner.access, domid: creator }, ...others];
}
