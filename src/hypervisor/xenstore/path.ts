// XenStore paths (docs: xenstore.txt): components of A-Z a-z 0-9 - _ @ separated by single slashes. A path without a leading
// slash is relative to the domain's home, /local/domain/<domid>.

import { XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX } from "../public/io/xs_wire.js";
import { StoreError } from "./store-error.js";

const COMPONENT = /^[A-Za-z0-9\-_@]+$/;

export function homeOf(domid: number): string {
  return `/local/domain/${domid}`;
}

/** Watches that stand for no node. */
export const INTRODUCE_DOMAIN = "@introduceDomain";
export const RELEASE_DOMAIN = "@releaseDomain";

export function isSpecial(path: string): boolean {
  return path.startsWith("@");
}

/** The absolute form of a node path as domain `domid` writes it. @throws StoreError EINVAL */
export function absolutePath(path: string, domid: number): string {
  const isAbsolute = path.startsWith("/");
  if (path.length > (isAbsolute ? XENSTORE_ABS_PATH_MAX : XENSTORE_REL_PATH_MAX)) throw new StoreError("EINVAL");
  const absolute = isAbsolute ? path : `${homeOf(domid)}/${path}`;
  if (absolute === "/") return absolute;
  if (!splitPath(absolute).every((part) => COMPONENT.test(part))) throw new StoreError("EINVAL");
  return absolute;
}

/** Components of an absolute path; none for the root. */
export function splitPath(path: string): string[] {
  return path === "/" ? [] : path.slice(1).split("/");
}

export function joinPath(parts: readonly string[]): string {
  return `/${parts.join("/")}`;
}

/** Is `path` the node `ancestor`, or below it? */
export function isAtOrBelow(path: string, ancestor: string): boolean {
  return path === ancestor || ancestor === "/" || path.startsWith(`${ancestor}/`);
}
