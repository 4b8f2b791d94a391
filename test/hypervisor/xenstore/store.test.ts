import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { absolutePath } from "../../../src/hypervisor/xenstore/path.js";
import { formatPermissions, parsePermissions } from "../../../src/hypervisor/xenstore/permissions.js";
import { type StoreView, XenStore } from "../../../src/hypervisor/xenstore/store.js";
import { bytesOf, textOf } from "../../../src/hypervisor/xenstore/wire.js";

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "OK";
}

function makeStore() {
  const store = new XenStore({ nodes: 20, nodeBytes: 64, permissions: 5 });
  const direct = <T>(run: (view: StoreView) => T) => store.direct(run);
  return {
    store,
    write: (path: string, value: string, domid = 0) => direct((v) => store.write(v, domid, path, bytesOf(value))),
    read: (path: string, domid = 0) => direct((v) => textOf(store.read(v, domid, path))),
    list: (path: string, domid = 0) => direct((v) => store.directory(v, domid, path)),
    remove: (path: string, domid = 0) => direct((v) => store.remove(v, domid, path)),
    perms: (path: string, texts: string[], domid = 0) =>
      direct((v) => store.setPermissions(v, domid, path, parsePermissions(texts))),
  };
}

describe("paths", () => {
  test("relative ones start at the domain's home", () => {
    expect(absolutePath("device/vif", 3)).toBe("/local/domain/3/device/vif");
    expect(absolutePath("/vm", 3)).toBe("/vm");
    expect(absolutePath("/", 3)).toBe("/");
  });
  test.each(["", "//", "/a//b", "/a/", "a b", "/a\nb", "/ü", `/${"x".repeat(3072)}`, "y".repeat(2049)])(
    "%j is invalid",
    (path) => expect(code(() => absolutePath(path, 1))).toBe("EINVAL"),
  );
});

describe("nodes", () => {
  test("writing creates the ancestors; removing takes what is below", () => {
    const s = makeStore();
    s.write("/a/b/c", "1");
    s.write("/a/b/d", "2");
    expect([s.read("/a"), s.list("/a/b"), s.read("/a/b/d")]).toEqual(["", ["c", "d"], "2"]);
    s.remove("/a/b");
    expect(code(() => s.read("/a/b/c"))).toBe("ENOENT");
    expect(s.list("/a")).toEqual([]);
  });

  test("removing what is missing is fine when its parent exists", () => {
    const s = makeStore();
    s.write("/a", "");
    expect(code(() => s.remove("/a/x"))).toBe("OK");
    expect(code(() => s.remove("/b/x"))).toBe("ENOENT");
    expect(code(() => s.remove("/"))).toBe("EINVAL");
  });

  test("an unprivileged domain writes only where it may, and owns what it makes", () => {
    const s = makeStore();
    s.write("/home", "");
    s.perms("/home", ["n1"]);
    expect(code(() => s.write("/other", "x", 1))).toBe("EACCES");
    s.write("/home/x/y", "1", 1);
    expect(s.store.owned(1).nodes).toBe(3);
    expect(code(() => s.read("/home/x/y", 2))).toBe("EACCES");
    expect(code(() => s.read("/home/nothing", 2))).toBe("EACCES");
    expect(code(() => s.read("/home/nothing", 1))).toBe("ENOENT");
    s.perms("/home/x/y", ["n1", "r2"], 1);
    expect(s.read("/home/x/y", 2)).toBe("1");
    expect(code(() => s.write("/home/x/y", "2", 2))).toBe("EACCES");
    expect(code(() => s.perms("/home/x/y", ["n2"], 1))).toBe("EPERM");
    expect(code(() => s.perms("/home/x/y", ["n2"], 2))).toBe("EACCES");
  });

  test("quota: nodes and bytes", () => {
    const s = makeStore();
    s.write("/h", "");
    s.perms("/h", ["n1"]);
    for (let i = 0; i < 19; i++) s.write(`/h/${i}`, "", 1);
    expect(code(() => s.write("/h/more", "", 1))).toBe("ENOSPC");
    s.remove("/h/3", 1);
    expect(code(() => s.write("/h/more", "", 1))).toBe("OK");
    expect(code(() => s.write("/h/1", "x".repeat(64), 1))).toBe("ENOSPC");
  });

  test("permissions are letters and domains", () => {
    expect(formatPermissions(parsePermissions(["n0", "r5", "b6"]))).toEqual(["n0", "r5", "b6"]);
    for (const bad of [[], ["x1"], ["r"], ["r99999"]]) expect(code(() => parsePermissions(bad))).toBe("EINVAL");
  });
});

describe("transactions", () => {
  test("changes are seen inside at once, outside after the commit, by watches once", () => {
    const s = makeStore();
    s.write("/a", "1");
    const seen: string[] = [];
    s.store.onChanges = (changes) => seen.push(...changes.map(({ path }) => path));
    const t = s.store.begin();
    s.store.write(t, 0, "/a", bytesOf("2"));
    s.store.write(t, 0, "/b/c", bytesOf("3"));
    expect([textOf(s.store.read(t, 0, "/a")), s.read("/a")]).toEqual(["2", "1"]);
    expect(seen).toEqual([]);
    s.store.commit(t, 0);
    expect([s.read("/a"), s.read("/b/c"), seen]).toEqual(["2", "3", ["/a", "/b", "/b/c"]]);
  });

  test("a node that was read and changed meanwhile makes it fail with EAGAIN", () => {
    const s = makeStore();
    s.write("/a", "1");
    const t = s.store.begin();
    s.store.read(t, 0, "/a");
    s.store.write(t, 0, "/x", bytesOf("1"));
    s.write("/a", "2");
    expect(code(() => s.store.commit(t, 0))).toBe("EAGAIN");
    expect(code(() => s.read("/x"))).toBe("ENOENT");
  });

  test("changes elsewhere, siblings too, don't disturb it and aren't lost", () => {
    const s = makeStore();
    s.write("/d/a", "1");
    const t = s.store.begin();
    s.store.write(t, 0, "/d/b", bytesOf("2"));
    s.write("/d/c", "3");
    s.write("/d/a/below", "4");
    s.store.commit(t, 0);
    expect(s.list("/d").sort()).toEqual(["a", "b", "c"]);
    expect(s.read("/d/a/below")).toBe("4");
  });

  test("a directory that was listed conflicts with a new entry in it", () => {
    const s = makeStore();
    s.write("/d/a", "1");
    const t = s.store.begin();
    s.store.directory(t, 0, "/d");
    s.store.write(t, 0, "/y", bytesOf(""));
    s.write("/d/c", "3");
    expect(code(() => s.store.commit(t, 0))).toBe("EAGAIN");
  });

  test("any interleaving of two clients is as if one came after the other, or EAGAIN", () => {
    const path = fc.constantFrom("/a", "/b", "/a/x", "/a/y", "/b/x");
    const op = fc.record({
      kind: fc.constantFrom("write", "read", "rm", "list"),
      path,
      value: fc.constantFrom("1", "2"),
    });
    const apply = (store: XenStore, view: StoreView, o: { kind: string; path: string; value: string }): string => {
      try {
        if (o.kind === "write") store.write(view, 0, o.path, bytesOf(o.value));
        else if (o.kind === "rm") store.remove(view, 0, o.path);
        else if (o.kind === "list") return store.directory(view, 0, o.path).sort().join();
        else return textOf(store.read(view, 0, o.path));
      } catch (error) {
        return (error as { code: string }).code;
      }
      return "";
    };
    const dump = (store: XenStore) => {
      const lines: string[] = [];
      const walk = (p: string) =>
        store.direct((v) => {
          lines.push(`${p}=${textOf(store.read(v, 0, p === "" ? "/" : p))}`);
          for (const name of store.directory(v, 0, p === "" ? "/" : p).sort()) walk(`${p}/${name}`);
        });
      walk("");
      return lines;
    };
    fc.assert(
      fc.property(
        fc.array(op, { maxLength: 6 }),
        fc.array(op, { maxLength: 6 }),
        fc.array(op, { maxLength: 5 }),
        (before, inside, meanwhile) => {
          const make = () => {
            const store = new XenStore();
            for (const o of before) store.direct((v) => apply(store, v, o));
            return store;
          };
          const store = make();
          const t = store.begin();
          const answers = inside.map((o) => apply(store, t, o));
          for (const o of meanwhile) store.direct((v) => apply(store, v, o));
          try {
            store.commit(t, 0);
          } catch {
            return;
          }
          // Without changes it counts as having come first.
          if (t.changes.length === 0) return;
          // It went through, so it must be as if all of it had come after the other client.
          const serial = make();
          for (const o of meanwhile) serial.direct((v) => apply(serial, v, o));
          const serialAnswers = inside.map((o) => serial.direct((v) => apply(serial, v, o)));
          expect(answers).toEqual(serialAnswers);
          expect(dump(store)).toEqual(dump(serial));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
