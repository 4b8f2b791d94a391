// The XenStore's socket and our client of it: requests, transactions, watches, and clients that mean no good.
import { statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { XenStoreClient } from "../../src/host/store-client.js";
import { StoreSocket } from "../../src/host/store-socket.js";
import * as W from "../../src/hypervisor/public/io/xs_wire.js";
import { XenStoreServer } from "../../src/hypervisor/xenstore/server.js";
import { bytesOf, encodeMessage } from "../../src/hypervisor/xenstore/wire.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";
import { temporaryPaths } from "../devices/storage/temporary-directory.js";

const fresh = temporaryPaths();
let server: XenStoreServer;
let socket: StoreSocket;
let client: XenStoreClient;

beforeEach(async () => {
  server = new XenStoreServer(new MachineMemory({ frames: 1, engineBytes: 65536 }));
  socket = await StoreSocket.listen(fresh(".sock"), server);
  client = await XenStoreClient.connect(socket.path);
});
afterEach(async () => {
  client.close();
  await socket.close();
});

/** A client that says what it likes. */
async function rawClient(): Promise<Socket> {
  const raw = connect(socket.path);
  await new Promise((resolve) => raw.once("connect", resolve));
  return raw;
}

const ended = (raw: Socket) => new Promise<void>((resolve) => raw.on("error", () => {}).once("close", () => resolve()));

describe("requests", () => {
  test("read, write, list, permissions, remove", async () => {
    await client.write("/a/b", "wörld");
    await client.mkdir("/a/c");
    expect(server.read("/a/b")).toBe("w\xc3\xb6rld");
    expect(await client.read("/a/b")).toBe("wörld");
    expect(await client.directory("/a")).toEqual(["b", "c"]);
    await client.setPermissions("/a/b", ["n0", "r3"]);
    expect(await client.permissions("/a/b")).toEqual(["n0", "r3"]);
    expect([await client.exists("/a/b"), await client.exists("/a/x")]).toEqual([true, false]);
    await client.remove("/a");
    await expect(client.read("/a/b")).rejects.toMatchObject({ errno: "ENOENT", message: "/a/b: no such node" });
    await expect(client.write("/a b", "")).rejects.toMatchObject({ errno: "EINVAL" });
    await expect(client.write("/a", "x".repeat(5000))).rejects.toMatchObject({ errno: "E2BIG" });
  });

  test("a directory too long for one message comes in parts", async () => {
    const names = Array.from({ length: 900 }, (_, i) => `a-rather-long-name-${i}`);
    server.update((view) => {
      for (const name of names) server.store.mkdir(view, 0, `/big/${name}`);
    });
    expect(await client.directory("/big")).toEqual(names);
  });

  test("relative paths are dom0's", async () => {
    await client.write("here", "1");
    expect(server.read("/local/domain/0/here")).toBe("1");
  });

  test("the socket is its owner's alone, and one host's", async () => {
    expect(statSync(socket.path).mode & 0o777).toBe(0o600);
    await expect(StoreSocket.listen(socket.path, server)).rejects.toThrow("another host's XenStore answers there");
    await expect(StoreSocket.listen(fresh("x".repeat(108)), server)).rejects.toThrow("can have 107 bytes");
    await expect(XenStoreClient.connect(fresh(".sock"))).rejects.toThrow("no XenStore answers there");
  });

  test("a stale socket is replaced", async () => {
    const path = fresh(".sock");
    const first = await StoreSocket.listen(path, server);
    const second = new Promise<StoreSocket>((resolve, reject) => {
      void first.close().then(() => StoreSocket.listen(path, server).then(resolve, reject));
    });
    await (await second).close();
    expect(() => statSync(path)).toThrow("ENOENT");
  });
});

describe("transactions", () => {
  test("run again when what they read changed", async () => {
    await client.write("/n", "0");
    const other = await XenStoreClient.connect(socket.path);
    const increment = (store: XenStoreClient) =>
      store.transaction(async (view) => view.write("/n", String(Number(await view.read("/n")) + 1)));
    await Promise.all(Array.from({ length: 20 }, (_, i) => increment(i % 2 ? client : other)));
    expect(await client.read("/n")).toBe("20");
    other.close();
  });

  test("leave nothing behind when they fail", async () => {
    const failing = client.transaction(async (view) => {
      await view.write("/t", "1");
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await client.exists("/t")).toBe(false);
  });
});

describe("watches", () => {
  test("tell of changes by others, until they end", async () => {
    const seen: string[] = [];
    const stop = await client.watch("/w", (path) => seen.push(path));
    server.write("/w/1", "");
    const other = await XenStoreClient.connect(socket.path);
    await other.write("/w/2", "");
    await client.read("/w");
    expect(seen).toEqual(["/w", "/w/1", "/w/2"]);
    await stop();
    await other.write("/w/3", "");
    await client.read("/w");
    expect(seen).toHaveLength(3);
    other.close();
  });

  test("a client that goes takes its watches along", async () => {
    const other = await XenStoreClient.connect(socket.path);
    await other.watch("/", () => {});
    other.close();
    await expect(other.closed).rejects.toThrow("closed");
    while (socket.clients > 1) await new Promise((resolve) => setImmediate(resolve));
    server.write("/x", "1");
    expect(await client.read("/x")).toBe("1");
  });
});

describe("hostile clients", () => {
  test.each([
    ["a message that is too long", Buffer.from(new Uint32Array([2, 1, 0, 5000]).buffer)],
    ["noise", Buffer.alloc(4096, 0xff)],
  ])("%s ends the connection, and no other", async (_, bytes) => {
    const raw = await rawClient();
    raw.write(bytes);
    await ended(raw);
    await client.write("/still", "here");
  });

  test("unknown requests and payloads without zeros are answered with errors", async () => {
    const raw = await rawClient();
    const replies: Buffer[] = [];
    raw.on("data", (bytes) => replies.push(bytes));
    for (const type of [...Array(32).keys(), 1000])
      raw.write(encodeMessage({ type, requestId: type, transactionId: 77, payload: bytesOf("\xff/a") }));
    raw.end();
    await ended(raw);
    expect(Buffer.concat(replies).length).toBeGreaterThan(32 * 16);
  });

  test("one that asks and never reads is not waited for, and not collected for without end", async () => {
    await client.write("/big", "x".repeat(4000));
    const raw = await rawClient();
    raw.pause();
    const watch = encodeMessage({ type: W.XS_WATCH, requestId: 1, transactionId: 0, payload: bytesOf("/\0t\0") });
    const read = encodeMessage({ type: W.XS_READ, requestId: 2, transactionId: 0, payload: bytesOf("/big\0") });
    raw.write(watch);
    for (let i = 0; i < 500; i++) raw.write(read);
    const over = ended(raw);
    for (let i = 0; socket.clients > 1 && i < 2000; i++) {
      server.update((view) => {
        for (let j = 0; j < 200; j++) server.store.write(view, 0, `/${"n".repeat(1000)}/${j}`, new Uint8Array(0));
      });
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(socket.clients).toBe(1);
    raw.resume();
    await over;
  });

  test("there are no more than 256 at a time", async () => {
    const all = await Promise.all(Array.from({ length: 270 }, rawClient));
    await Promise.all(all.slice(0, 5).map((raw) => raw));
    while (socket.clients < 256) await new Promise((resolve) => setImmediate(resolve));
    await client.write("/x", "");
    expect(socket.clients).toBe(256);
    for (const raw of all) raw.on("error", () => {}).destroy();
  });
});
