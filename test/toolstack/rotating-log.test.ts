import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { RotatingLog } from "../../src/toolstack/rotating-log.js";

const directory = mkdtempSync(join(tmpdir(), "xen-ts-log-"));
const path = join(directory, "guest-web.log");
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("a log goes on where the last one ended, and begins anew when it is full", () => {
  writeFileSync(path, "before\n");
  const first = new RotatingLog(path, () => expect.unreachable());
  first.write(Buffer.from("one\n"));
  first.close();
  const second = new RotatingLog(path, () => expect.unreachable());
  second.write(Buffer.from("two\n"));
  expect(readFileSync(path, "utf8")).toBe("before\none\ntwo\n");
  second.write(Buffer.alloc(4 << 20, 0x2e));
  second.write(Buffer.from("three\n"));
  second.close();
  expect(readFileSync(`${path}.1`).length).toBe(15 + (4 << 20));
  expect(readFileSync(path, "utf8")).toBe("three\n");
});

test("a log that can't be written fails once, and holds nobody up", () => {
  const failures: string[] = [];
  const log = new RotatingLog(join(directory, "absent", "x.log"), ({ message }) => failures.push(message));
  log.write(Buffer.from("a"));
  log.write(Buffer.from("b"));
  expect(failures).toHaveLength(1);
});
