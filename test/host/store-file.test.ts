// The XenStore between two runs of a host: what isn't domains' stays, a damaged file is set aside.
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StoreFile } from "../../src/host/store-file.js";
import { parsePermissions } from "../../src/hypervisor/xenstore/permissions.js";
import { XenStoreServer } from "../../src/hypervisor/xenstore/server.js";
import { formatStore, parseStore } from "../../src/hypervisor/xenstore/store-text.js";
import { createXenHost } from "../../src/index.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";
import { temporaryPaths } from "../devices/storage/temporary-directory.js";

const fresh = temporaryPaths();
const memory = new MachineMemory({ frames: 1, engineBytes: 65536 });

function someStore(): XenStoreServer {
  const server = new XenStoreServer(memory);
  server.write("/tool/a", "\x00\xff\n\"'");
  server.write("/tool/b/c", "2");
  server.update((view) => server.store.setPermissions(view, 0, "/tool/a", parsePermissions(["r0", "b7"])));
  server.write("/local/domain/3/name", "gone");
  server.write("/vm/1234/name", "gone");
  return server;
}

test("text and back is the same store", () => {
  const server = someStore();
  const text = formatStore(server.store.root);
  expect(formatStore(parseStore(text))).toBe(text);
  expect(text.split("\n")[0]).toBe('{"format":"xen-ts xenstore","version":1}');
  expect(text).toContain('{"path":"/tool/b/c","value":"2","permissions":["r0"]}');
});

describe("what isn't whole is refused", () => {
  const text = formatStore(someStore().store.root);
  test.each([
    ["", /^line 1/],
    [text.replace('"version":1', '"version":2'), /^line 1: version 2, not 1$/],
    [text.slice(0, -10), /^line \d+/],
    [text.replace('"r0","b7"', '"r0","q7"'), /^line \d+: EINVAL/],
    [text.replace("/tool/b/c", "/nope/b/c"), /a node comes once, after its parent/],
    [text.replace(/\n.*"nodes".*\n/, "\n"), /the end is missing|not a node/],
  ])("%#", (damaged, message) => expect(() => parseStore(damaged)).toThrow(message));

  test("any cut and any changed byte is a whole store or an error", () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.nat(255), fc.boolean(), (at, byte, isCut) => {
        const changed = isCut ? text.slice(0, at) : text.slice(0, at) + String.fromCharCode(byte) + text.slice(at + 1);
        try {
          parseStore(changed);
        } catch (error) {
          expect((error as Error).message).toMatch(/^line \d+: /);
        }
      }),
    );
  });
});

test("a host takes up what the last one left, but its domains", async () => {
  const state = fresh(".xenstore");
  const first = await createXenHost({ memory: "16M", xenstore: { state } });
  first.xenstore.write("/tool/mine", "kept");
  first.xenstore.write("/local/domain/1/name", "guest");
  await first.close();
  const second = await createXenHost({ memory: "16M", xenstore: { state, socket: fresh(".sock") } });
  expect(second.xenstore.read("/tool/mine")).toBe("kept");
  expect(second.xenstore.directory("/local/domain")).toEqual(["0"]);
  await second.close();
});

test("changes are written while the host runs, as a whole", async () => {
  const state = fresh(".xenstore");
  const server = someStore();
  const file = await StoreFile.open(state, server, () => {});
  server.write("/late", "1");
  await file.flush();
  expect(parseStore(readFileSync(state, "utf8")).children.has("late")).toBe(true);
  expect(existsSync(`${state}.new`)).toBe(false);
  await file.close();
});

test("a damaged file is kept beside, and the host starts", async () => {
  const state = fresh(".xenstore");
  writeFileSync(state, formatStore(someStore().store.root));
  truncateSync(state, 100);
  const log: string[] = [];
  const server = new XenStoreServer(memory);
  const file = await StoreFile.open(state, server, (line) => log.push(line));
  expect(log[0]).toMatch(/line 2.*it is kept as .*\.damaged, and the XenStore starts empty/);
  expect(readFileSync(`${state}.damaged`)).toHaveLength(100);
  await file.close();
});
