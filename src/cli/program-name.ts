// Under the name `xm` the command has the looks of 2005.

import { basename } from "node:path";

export function isXm(): boolean {
  return basename(process.argv[1] ?? "").replace(/\.js$/, "") === "xm";
}
