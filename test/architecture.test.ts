// The rules of the source tree: who may import whom (ARCHITECTURE in HACKING.md), no import cycles (type imports count), small
// files with an opening comment, no clock and no randomness inside the machine, no escape hatches.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const MAX_LINES = 700;
const MAX_MEDIAN = 150;
const MAX_OPENING = 24;

const files = new Map<string, string>();
for (const folder of ["src", "images", "test", "examples"]) collect(folder);

function collect(folder: string): void {
  let entries: ReturnType<typeof list>;
  try {
    entries = list(folder);
  } catch {
    return;
  }
  for (const entry of entries) {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) collect(path);
    else if (path.endsWith(".ts")) files.set(path, readFileSync(join(root, path), "utf8"));
  }
}

function list(folder: string) {
  return readdirSync(join(root, folder), { withFileTypes: true });
}

interface Import {
  readonly from: string;
  readonly to: string;
}

/** Static and dynamic imports, re-exports and `import("…")` types; strings in comments may count, which does no harm. */
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)"([^"]+)"/g;

const imports: Import[] = [];
for (const [from, text] of files) {
  for (const [, specifier] of text.matchAll(IMPORT)) {
    if (!specifier!.startsWith(".")) imports.push({ from, to: specifier! });
    else {
      const target = relative(root, resolve(root, dirname(from), specifier!))
        .split(sep)
        .join("/");
      imports.push({ from, to: target.replace(/\.js$/, ".ts") });
    }
  }
}
const isProduct = (path: string) => path.startsWith("src/") || path.startsWith("images/");

/** The room of a file: the longest of these that it is in. */
const ROOMS = [
  ...[
    "src/hypervisor/public",
    "src/hypervisor",
    "src/compress",
    "src/mmu",
    "src/cpu",
    "src/devices/xen",
    "src/devices/storage",
    "src/devices/network",
    "src/devices",
  ],
  ...["src/host", "src/config", "src/control", "src/toolstack", "src/cli", "src", "images"],
];
const roomOf = (path: string) => ROOMS.find((room) => path.startsWith(`${room}/`));

/** What each room may import besides itself. Files right under src/ are composition roots and may import all but cli. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "src/hypervisor/public": [],
  "src/compress": [],
  "src/mmu": [],
  "src/cpu": ["src/mmu"],
  "src/devices": ["src/mmu"],
  "src/devices/storage": ["src/compress"],
  "src/devices/network": [],
  "src/devices/xen": [
    ...["src/devices", "src/devices/storage", "src/devices/network"],
    ...["src/mmu", "src/hypervisor/public"],
  ],
  "src/hypervisor": ["src/hypervisor/public", "src/mmu", "src/cpu", "src/compress"],
  "src/host": [
    ...["src/hypervisor", "src/hypervisor/public", "src/cpu", "src/mmu"],
    ...["src/devices/xen", "src/devices/storage", "src/devices/network"],
  ],
  "src/config": ["src/host", "src/devices/xen"],
  "src/control": ["src/host"],
  "src/toolstack": ["src/control", "src/config", "src/host", "src"],
  "src/cli": [],
  images: ["src/compress"],
  src: [
    ...["src/host", "src/hypervisor", "src/hypervisor/public", "src/cpu", "src/mmu"],
    ...["src/devices", "src/devices/xen", "src/devices/storage"],
  ],
};

/** Node's modules and packages by room; none elsewhere. */
const OUTSIDE: Readonly<Record<string, RegExp>> = {
  "src/compress": /^node:(crypto|zlib)$/,
  "src/hypervisor": /^node:crypto$/,
  "src/devices/storage": /^node:(crypto|fs|fs\/promises|os|path|util|zlib)$/,
  "src/config": /^node:path$/,
  "src/control": /^node:(fs|net|os|path|stream)$/,
  "src/toolstack": /^node:(fs|os|path|stream)$/,
  "src/devices/network": /^node:(dgram|dns|fs|net)$/,
  "src/host": /^(node:(child_process|crypto|events|fs|fs\/promises|net|os|path|stream|tty|v8|worker_threads)|koffi)$/,
  "src/cli": /^(node:.*|commander)$/,
  images: /^(node:.*|tar-stream)$/,
  src: /^node:.*$/,
};

describe("layers", () => {
  test("files import only what their layer may", () => {
    const wrong: string[] = [];
    for (const { from, to } of imports.filter(({ from }) => isProduct(from))) {
      const room = roomOf(from)!;
      const target = files.has(to) ? roomOf(to) : undefined;
      let allowed: boolean;
      if (target === undefined) allowed = OUTSIDE[room]?.test(to) ?? false;
      else if (to === "src/index.ts") allowed = room === "src/cli";
      else if (from === "src/index.ts")
        allowed = ["images", "src/host", "src/config", "src/control", "src/toolstack", "src"].includes(target);
      else allowed = target === room || MAY_IMPORT[room]!.includes(target);
      if (!allowed) wrong.push(`${from} imports ${to}`);
    }
    expect(wrong).toEqual([]);
  });

  test("the command line is built on the public API alone, images/ on its door", () => {
    const wrong = imports.filter(({ from, to }) => {
      if (from.startsWith("src/cli/")) return isProduct(to) && !to.startsWith("src/cli/") && to !== "src/index.ts";
      if (from === "src/index.ts" && to.startsWith("images/")) return to !== "images/index.ts";
      return false;
    });
    expect(wrong).toEqual([]);
  });

  test("every relative import names a file of the tree", () => {
    expect(
      imports.filter(({ to }) => to.endsWith(".ts") && !files.has(to)).map(({ from, to }) => `${from}: ${to}`),
    ).toEqual([]);
  });

  test("no import cycles, type imports included", () => {
    expect(findCycle()).toEqual([]);
  });
});

/** The first cycle found, as a path of files; or []. */
function findCycle(): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to } of imports) if (files.has(to)) targets.set(from, [...(targets.get(from) ?? []), to]);
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    const at = path.indexOf(file);
    if (at >= 0) return [...path.slice(at), file];
    if (done.has(file)) return undefined;
    path.push(file);
    for (const target of targets.get(file) ?? []) {
      const cycle = visit(target);
      if (cycle) return cycle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of files.keys()) {
    const cycle = visit(file);
    if (cycle) return cycle;
  }
  return [];
}

describe("files", () => {
  const product = [...files].filter(([path]) => isProduct(path));

  test(`none has more than ${MAX_LINES} lines, half of them at most ${MAX_MEDIAN}`, () => {
    const lengths = [...files].map(([path, text]) => ({ path, lines: text.split("\n").length - 1 }));
    expect(lengths.filter(({ lines }) => lines > MAX_LINES)).toEqual([]);
    const sorted = lengths
      .filter(({ path }) => isProduct(path))
      .map(({ lines }) => lines)
      .sort((a, b) => a - b);
    expect(sorted[sorted.length >> 1]).toBeLessThanOrEqual(MAX_MEDIAN);
  });

  test("each opens with a comment: some lines, or an essay where invariants need one", () => {
    const wrong = product.filter(([, text]) => {
      const lines = text.replace(/^#!.*\n/, "").split("\n");
      let count = 0;
      while (/^(\/\/|\/\*| \*)/.test(lines[count] ?? "")) count++;
      return count === 0 || count > MAX_OPENING;
    });
    expect(wrong.map(([path]) => path)).toEqual([]);
  });

  test("the machine has no clock and no dice of its own", () => {
    const machine = /^src\/(cpu|mmu|devices|hypervisor|compress)\//;
    const forbidden = /\b(Date\.now|new Date\(\)|performance\.now|process\.hrtime|Math\.random)\b/;
    expect(product.filter(([path, text]) => machine.test(path) && forbidden.test(text)).map(([path]) => path)).toEqual(
      [],
    );
  });

  test("no default exports, no export *, no work left to do later", () => {
    // The words are put together here, so that this file passes its own test.
    const later = new RegExp(
      `\\b(${["TO", "FIX", "XX"].map((word) => word + (word === "TO" ? "DO" : word === "FIX" ? "ME" : "X")).join("|")})\\b`,
    );
    const wrong = product.filter(([, text]) => /^export (default|\*)/m.test(text) || later.test(text));
    expect(wrong.map(([path]) => path)).toEqual([]);
  });
});
