// The README says what is so: its example is the tested one, its tables name all commands, options and exit codes, its links lead somewhere.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { commands } from "../src/cli/command-table.js";
import { ExitCode } from "../src/cli/exit-codes.js";
import { guestOptionRows } from "../src/cli/guest-options.js";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const readme = read("README.md");

test("the example is the tested one", () => {
  const example = /<!-- (\S+) -->\s+```ts\n([\s\S]*?)```/.exec(readme)!;
  const tested = read(example[1]!).replace(/^\/\/.*\n/, "");
  expect(tested.replace("../../src/index.js", "xen-ts")).toBe(example[2]);
});

test("commands, options and exit codes are all there", () => {
  for (const { path } of commands) expect(readme).toMatch(new RegExp(`\`(xen-ts )?([a-z]+ )?${path.at(-1)}\\b`));
  for (const { flags } of Object.values(guestOptionRows)) expect(readme).toContain(flags.split(" ")[0]);
  for (const code of Object.values(ExitCode)) expect(readme).toMatch(new RegExp(`\\| ${code} +\\|`));
});

test("links in all our documents lead to files", () => {
  const broken: string[] = [];
  for (const path of documents(".")) {
    for (const [, target] of read(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      if (!existsSync(join(root, dirname(path), target!))) broken.push(`${path}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

function documents(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return /^(node_modules|dist|\.git)$/.test(entry.name) ? [] : documents(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}
