// The simple stores: raw files, memory, overlay, fault injection; and opening disks by their description.
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { FaultyStore } from "../../../src/devices/storage/faulty-store.js";
import { MemoryStore } from "../../../src/devices/storage/memory-store.js";
import { openDisk } from "../../../src/devices/storage/open-disk.js";
import { OverlayStore } from "../../../src/devices/storage/overlay-store.js";
import { createQcow2 } from "../../../src/devices/storage/qcow2/create-qcow2.js";
import { blockStoreContract, CONTRACT_SIZE, expectSame, pattern, readAll } from "./block-store-contract.js";
import { temporaryPaths } from "./temporary-directory.js";

const fresh = temporaryPaths();
let path = "";

function emptyFile(size: number): string {
  const name = fresh(".img");
  writeFileSync(name, "");
  truncateSync(name, size);
  return name;
}

blockStoreContract("memory", { create: async () => new MemoryStore(CONTRACT_SIZE) });
blockStoreContract("raw file", {
  create: () => {
    // A part sector at the end doesn't count.
    path = emptyFile(CONTRACT_SIZE + 100);
    return openDisk({ format: "raw", target: path, access: "w" });
  },
  reopen: (isWritable) => openDisk({ format: "raw", target: path, access: isWritable ? "w" : "r" }),
});
blockStoreContract("overlay in memory", {
  create: async () =>
    new OverlayStore(new MemoryStore(CONTRACT_SIZE, { isReadonly: true }), new MemoryStore(CONTRACT_SIZE)),
});
blockStoreContract("overlay in a temporary file", {
  create: () => openDisk({ format: "raw", target: emptyFile(CONTRACT_SIZE), access: "w", snapshot: true }),
});
blockStoreContract("store without faults", {
  create: async () =>
    new FaultyStore(
      new MemoryStore(CONTRACT_SIZE),
      () => undefined,
      () => Promise.resolve(),
    ),
});

describe("overlay", () => {
  test("never writes to its base, and leaves no file behind", async () => {
    const target = emptyFile(CONTRACT_SIZE);
    const before = pattern(8192, 1);
    writeFileSync(target, before, { flag: "r+" });
    const temporaryDirectory = fresh("");
    mkdirSync(temporaryDirectory);
    const store = await openDisk({ format: "raw", target, access: "w", snapshot: true, temporaryDirectory });
    await store.write(4096, pattern(1024, 2));
    const mixed = await readAll(store, 3584, 2048);
    expectSame(mixed.subarray(0, 512), before.subarray(3584, 4096));
    expectSame(mixed.subarray(512, 1536), pattern(1024, 2));
    expectSame(mixed.subarray(1536), before.subarray(5120, 5632));
    expect(readdirSync(temporaryDirectory)).toEqual([]);
    await store.close();
    expectSame(readFileSync(target).subarray(0, 8192), before);
  });
});

describe("memory disk", () => {
  test("has a limit that shows as a full disk", async () => {
    const store = new MemoryStore(1 << 20, { limit: 131072 });
    await store.write(0, new Uint8Array(131072));
    await expect(store.write(131072, new Uint8Array(512))).rejects.toMatchObject({ code: "no-space" });
    await store.discard(0, 65536);
    await store.write(131072, new Uint8Array(512));
  });
});

describe("fault injection", () => {
  test("fails and delays the requests that it is told to", async () => {
    const waits: number[] = [];
    const store = new FaultyStore(
      new MemoryStore(1 << 20),
      ({ operation, offset, index }) => {
        if (operation === "read" && offset === 512) return { error: "bad sector" };
        return index === 2 ? { delayMs: 50 } : undefined;
      },
      async (milliseconds) => void waits.push(milliseconds),
    );
    await store.write(512, new Uint8Array(512));
    await expect(store.read(512, new Uint8Array(512))).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("bad sector"),
    });
    await store.read(0, new Uint8Array(512));
    await store.flush();
    expect(waits).toEqual([50]);
  });
});

describe("opening", () => {
  const open = (format: string, target: string, access: "r" | "w" = "w") => openDisk({ format, target, access });

  test("every failure names the file and says what is wrong", async () => {
    const missing = fresh(".img");
    const cases: [["raw" | "qcow2" | "vhd", string, ("r" | "w")?], string, string][] = [
      [["raw", missing], "not-found", missing],
      [["qcow2", missing], "not-found", missing],
      [["raw", dirname(missing), "r"], "unsupported", dirname(missing)],
      [["raw", "/dev/null", "r"], "unsupported", "/dev/null"],
      [["raw", emptyFile(100)], "corrupt", "too small"],
      [["qcow2", emptyFile(100)], "corrupt", "not a qcow2 image"],
      [["vhd", "a.vhd"], "unsupported", '"vhd"'],
    ];
    for (const [what, code, text] of cases)
      await expect(open(...what)).rejects.toMatchObject({
        name: "StorageError",
        code,
        message: expect.stringContaining(text),
      });
  });

  test("a file that is cut short while open gives I/O errors where it is missing", async () => {
    const target = emptyFile(1 << 20);
    const store = await open("raw", target);
    truncateSync(target, 4096);
    await store.read(0, new Uint8Array(4096));
    await expect(store.read(4096, new Uint8Array(512))).rejects.toMatchObject({ code: "io" });
    await store.close();
  });

  test("a backing file that is missing, strange, or the image itself", async () => {
    const missing = fresh(".qcow2");
    await createQcow2(missing, { size: 65536, backing: { name: "nowhere.img", format: "raw" } });
    await expect(open("qcow2", missing)).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/backing file: .*nowhere/),
    });
    const remote = fresh(".qcow2");
    await createQcow2(remote, { size: 65536, backing: { name: "nbd://host/disk", format: "raw" } });
    await expect(open("qcow2", remote)).rejects.toMatchObject({ code: "unsupported" });
    const itself = fresh(".qcow2");
    await createQcow2(itself, { size: 65536, backing: { name: basename(itself), format: "qcow2" } });
    await expect(open("qcow2", itself)).rejects.toMatchObject({
      code: "corrupt",
      message: expect.stringContaining("loop"),
    });
  });
});
