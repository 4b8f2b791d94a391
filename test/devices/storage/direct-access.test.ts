// Files are read at once while that is quick; after a slow access the pool has its turn.
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DirectAccess } from "../../../src/devices/storage/direct-access.js";
import { FileLocks } from "../../../src/devices/storage/file-locks.js";
import { HostFile } from "../../../src/devices/storage/host-file.js";
import { temporaryPaths } from "./temporary-directory.js";

const fresh = temporaryPaths();

test("quick accesses are direct, long ones never; a slow one sends the next 32 to the pool", () => {
  let time = 0;
  const direct = new DirectAccess(() => time);
  expect([direct.allows(4096), direct.allows(2 ** 20)]).toEqual([true, false]);
  expect(direct.run(() => ++time)).toBe(1);
  expect(direct.allows(512)).toBe(true);
  direct.run(() => (time += 3));
  expect(Array.from({ length: 33 }, () => direct.allows(512)).lastIndexOf(false)).toBe(31);
});

test("a file with a clock: the same bytes, ends and errors both ways", async () => {
  const path = fresh("disk.img");
  writeFileSync(path, "0123456789");
  for (const took of [0, 5]) {
    let time = 0;
    const now = () => (time += took);
    const file = await HostFile.open(path, true, { locks: new FileLocks(), holder: "test", now });
    const target = new Uint8Array(8);
    expect(await file.read(6, target)).toBe(4);
    expect(Buffer.from(target).toString("latin1", 0, 4)).toBe("6789");
    await file.write(2, Buffer.from("xy"));
    expect(await file.read(0, target)).toBe(8);
    expect(Buffer.from(target).toString()).toBe("01xy4567");
    await file.write(2, Buffer.from("23"));
    await file.close();
    await expect(file.read(0, target)).rejects.toMatchObject({ code: "closed" });
    const readonly = await HostFile.open(path, false, { locks: new FileLocks(), holder: "test", now });
    await expect(readonly.write(0, target)).rejects.toMatchObject({ name: "StorageError" });
    await readonly.close();
  }
});
