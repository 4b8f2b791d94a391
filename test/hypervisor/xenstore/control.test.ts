import { beforeEach, describe, expect, test } from "vitest";
import * as W from "../../../src/hypervisor/public/io/xs_wire.js";
import { StoreConnection } from "../../../src/hypervisor/xenstore/connection.js";
import { XenStoreServer } from "../../../src/hypervisor/xenstore/server.js";
import { encodeMessage, joinStrings, MessageReader, textOf } from "../../../src/hypervisor/xenstore/wire.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";

let server: XenStoreServer;
let log: string[];

beforeEach(() => {
  server = new XenStoreServer(new MachineMemory({ frames: 2, engineBytes: 65536 }));
  log = [];
  server.onLog = (line) => log.push(line);
});

/** A client of domain `domid`: the reply's text, or "!ENOENT". */
function client(domid: number) {
  const reader = new MessageReader();
  let reply = "";
  const connection = new StoreConnection(server, domid, ({ bytes, done }) => {
    done();
    for (const { type, payload } of reader.readAll(bytes))
      if (type !== W.XS_WATCH_EVENT) reply = (type === W.XS_ERROR ? "!" : "") + textOf(payload).replace(/\0$/, "");
  });
  return (type: number, ...words: string[]): string => {
    connection.push(encodeMessage({ type, requestId: 1, transactionId: 0, payload: joinStrings(words) }));
    connection.handleNext();
    return reply;
  };
}

const control = (...words: string[]) => client(0)(W.XS_CONTROL, ...words);

describe("XS_CONTROL", () => {
  test("domains but dom0 may not", () => {
    expect(client(1)(W.XS_CONTROL, "help")).toBe("!EACCES");
  });

  test.each([
    [[]],
    [["nonsense"]],
    [["constructor"]],
    [["live-update", "-s"]],
    [["memreport"]],
    [["log"]],
    [["log", "loud"]],
    [["print"]],
    [["check", "x"]],
    [["quota", "x"]],
    [["quota", "set", "nodes"]],
    [["quota", "set", "nodes", "0"]],
    [["quota", "set", "nodes", "-1"]],
    [["quota", "set", "constructor", "1"]],
    [["quota-soft", "set", "nodes", "1"]],
    [["quota-soft", "memory"]],
  ])("%j is EINVAL", (words) => {
    expect(control(...words)).toBe("!EINVAL");
    expect(log).toEqual([]);
  });

  test("help has a line for each command", () => {
    expect(control("help").split("\n")).toEqual([
      "check",
      "help",
      "log             on|off",
      "print           <string>",
      "quota           [set <name> <val>|<domid>]",
      "quota-soft      [set <name> <val>]",
    ]);
  });

  test("print is a line of the host's log, whatever it holds", () => {
    expect(control("print", "a\nb\x1b[2J")).toBe("OK");
    expect(log).toEqual(["xenstore: control: a.b.[2J"]);
  });

  test("log tells of every request, and of its failure", () => {
    const guest = client(3);
    guest(W.XS_READ, "quiet");
    expect(control("log", "on")).toBe("OK");
    guest(W.XS_READ, "name\n");
    guest(W.XS_WATCH, "@releaseDomain", "token");
    guest(77, "x".repeat(1000));
    expect(control("log", "off")).toBe("OK");
    guest(W.XS_READ, "quiet");
    expect(log.filter((line) => !line.includes("domain 0: CONTROL"))).toEqual([
      "xenstore: domain 3: READ name.: EINVAL",
      "xenstore: domain 3: WATCH @releaseDomain token",
      `xenstore: domain 3: request 77 ${"x".repeat(200)}…: ENOSYS`,
    ]);
  });

  test("check counts the nodes of domains anew", () => {
    server.write("/a/b", "1");
    server.write("/c", "1");
    server.remove("/a");
    expect(control("check")).toBe("OK");
    expect(log).toEqual([]);
  });

  test("quota shows the limits, changes them, and they hold at once", () => {
    // As xenstored 4.17 has them.
    expect(control("quota").split("\n")).toEqual([
      "Quota settings:",
      "nodes            :     1000 Nodes per domain",
      "watches          :      128 Watches per domain",
      "transactions     :       10 Transactions per domain",
      "outstanding      :       20 Outstanding requests per domain",
      "transaction-nodes:     1024 Max. number of accessed nodes per transaction",
      "memory           :  2621440 Total Xenstore memory per domain (error level)",
      "node-size        :     2048 Max. size of a node",
      "path-max         :     2048 Max. length of a node path",
      "permissions      :        5 Max. number of permissions per node",
    ]);
    expect(control("quota-soft")).toBe(
      "Quota settings:\nmemory           :  2097152 Total Xenstore memory per domain (warning level)",
    );
    server.update((view) => {
      server.store.mkdir(view, 0, "/local/domain/5");
      server.store.setPermissions(view, 0, "/local/domain/5", [{ access: "n", domid: 5 }]);
    });
    const guest = client(5);
    for (const [name, value] of Object.entries({ nodes: 3, watches: 2, transactions: 1, "node-size": 40 }))
      expect(control("quota", "set", name, String(value))).toBe("OK");
    expect([guest(W.XS_MKDIR, "a"), guest(W.XS_MKDIR, "b"), guest(W.XS_MKDIR, "c")]).toEqual(["OK", "OK", "!ENOSPC"]);
    expect([1, 2, 3].map((i) => guest(W.XS_WATCH, "a", String(i)))).toEqual(["OK", "OK", "!E2BIG"]);
    expect([guest(W.XS_TRANSACTION_START, ""), guest(W.XS_TRANSACTION_START, "")]).toEqual(["1", "!ENOSPC"]);
    expect(control("quota", "set", "path-max", "3")).toBe("OK");
    expect([guest(W.XS_READ, "b"), guest(W.XS_READ, "long"), guest(W.XS_READ, "/local/domain/5/b")]).toEqual([
      "",
      "!EINVAL",
      "",
    ]);
    expect(new XenStoreServer(new MachineMemory({ frames: 1, engineBytes: 65536 })).store.quota.nodes).toBe(1000);
  });

  test("quota of a domain: what it has", () => {
    expect(control("quota", "1")).toBe("!ENOENT");
    server.connect(1, 4096, { notify: () => {} });
    server.update((view) => {
      server.store.mkdir(view, 0, "/x");
      server.store.setPermissions(view, 0, "/x", [{ access: "n", domid: 1 }]);
    });
    expect(control("quota", "1")).toBe(
      [
        "Domain 1:",
        "nodes           :        1",
        "watches         :        0",
        "transactions    :        0",
        "outstanding     :        0",
        "memory          :       34",
      ].join("\n"),
    );
  });
});
