// The store as text, to keep it while no host runs. JSON lines: a header {"format":"xen-ts xenstore","version":1}; a line for each
// node, parents first: {"path":"/tool","value":"","permissions":["n0","r3"]}, in whose value each character is a byte; and
// {"nodes":N} at the end, without which a file is not whole.

import { absolutePath } from "./path.js";
import { formatPermissions, parsePermissions } from "./permissions.js";
import { findNode, newNode, replaceNode, type StoreNode } from "./tree.js";
import { bytesOf, textOf } from "./wire.js";

const FORMAT = "xen-ts xenstore";
const VERSION = 1;

export function formatStore(root: StoreNode): string {
  const lines = [JSON.stringify({ format: FORMAT, version: VERSION })];
  const visit = (node: StoreNode, path: string) => {
    const permissions = formatPermissions(node.permissions);
    lines.push(JSON.stringify({ path: path || "/", value: textOf(node.value), permissions }));
    for (const [name, child] of node.children) visit(child, `${path}/${name}`);
  };
  visit(root, "");
  lines.push(JSON.stringify({ nodes: lines.length - 1 }));
  return `${lines.join("\n")}\n`;
}

/** @throws Error that says which line is wrong, whatever the text is */
export function parseStore(text: string): StoreNode {
  const lines = text.split("\n");
  let root: StoreNode | undefined;
  const read = (line: string, i: number) => {
    const { path, value, permissions } = JSON.parse(line) as Record<string, unknown>;
    if (typeof path !== "string" || typeof value !== "string" || !Array.isArray(permissions))
      throw new Error("not a node");
    const node = newNode(parsePermissions(permissions.map(String)), bytesOf(value));
    if ((i === 1) !== (path === "/")) throw new Error("the root comes first, and once");
    if (!root) root = node;
    else {
      absolutePath(path, 0);
      if (!path.startsWith("/") || !findNode(root, path.slice(0, path.lastIndexOf("/")) || "/") || findNode(root, path))
        throw new Error("a node comes once, after its parent");
      root = replaceNode(root, path, node);
    }
  };
  let at = 0;
  try {
    const header = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
    if (header?.format !== FORMAT) throw new Error(`not a "${FORMAT}" file`);
    if (header.version !== VERSION) throw new Error(`version ${String(header.version)}, not ${VERSION}`);
    const end = lines.length - 2;
    for (at = 1; at < end; at++) read(lines[at]!, at);
    at = end;
    if ((JSON.parse(lines[end] ?? "") as Record<string, unknown>)?.nodes !== end - 1 || !root || lines[end + 1] !== "")
      throw new Error("the end is missing");
    return root;
  } catch (error) {
    throw new Error(`line ${at + 1}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
