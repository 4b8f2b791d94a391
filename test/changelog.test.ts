// The shape of CHANGELOG.md: versions newest first, known sections, one-line entries.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const text = readFileSync(new URL("../CHANGELOG.md", import.meta.url), "utf8");
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const SECTIONS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

test("every line is a title, a version, a section or an entry", () => {
  const lines = text.split("\n");
  expect(lines[0]).toBe("# Changelog");
  const from = lines.findIndex((line) => line.startsWith("## "));
  const wrong = lines.slice(from).filter((line) => {
    if (line === "" || /^- .+[.)]$/.test(line) || /^ {2}\S/.test(line)) return false;
    if (/^## (Unreleased|\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d)$/.test(line)) return false;
    return !SECTIONS.some((section) => line === `### ${section}`);
  });
  expect(wrong).toEqual([]);
});

test("versions are in order, newest first, and none is beyond the package's", () => {
  const versions = [...text.matchAll(/^## (\d+)\.(\d+)\.(\d+)/gm)].map((match) => match.slice(1).map(Number));
  const key = (parts: readonly number[]) => parts.reduce((sum, part) => sum * 10_000 + part, 0);
  const keys = versions.map(key);
  expect(keys).toEqual([...keys].sort((a, b) => b - a));
  expect(keys[0] ?? 0).toBeLessThanOrEqual(key(version.split(".").map(Number)));
});
