import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findFirmware } from "../../src/toolstack/firmware.js";

test("firmware is looked for in the given directory first; a 32-bit one is refused, and a missing one names the package", () => {
  const directory = mkdtempSync(join(tmpdir(), "xen-ts-firmware-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  // The machine that tests run on may have GRUB.
  const elsewhere = () => {
    try {
      return findFirmware("pvgrub64", directory);
    } catch (error) {
      return String(error);
    }
  };
  expect(elsewhere()).toMatch(/^\/usr\/.*(pvgrub64|grub-x86_64-xen\.bin)$|in Debian's grub-xen-host/);
  writeFileSync(join(directory, "pvgrub64"), "");
  expect(findFirmware("pvgrub64", directory)).toBe(join(directory, "pvgrub64"));
  expect(() => findFirmware("pvgrub32", directory)).toThrow(
    /^firmware pvgrub32 needs 32-bit PV, which isn't supported/,
  );
});
