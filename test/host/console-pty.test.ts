import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { ConsolePty } from "../../src/host/console-pty.js";
import { GuestConsole } from "../../src/host/guest-console.js";
import { KeptOutput } from "../../src/host/kept-output.js";
import { type OpenPty, ptyOpener } from "../../src/host/pty.js";

const NODE = "/local/domain/7/console/tty";

async function opener(): Promise<OpenPty | string> {
  try {
    const open = await ptyOpener();
    open().close();
    return open;
  } catch (error) {
    return (error as Error).message;
  }
}

const open = await opener();

/** A domain's console without the domain: what arrives there, and how much of it the guest takes. */
class Bench {
  typed = "";
  takes = Number.POSITIVE_INFINITY;
  readonly store = new Map<string, string>();
  readonly lines: string[] = [];
  readonly files: number[] = [];
  readonly console = new GuestConsole(
    () => "web",
    (bytes) => {
      const taken = bytes.subarray(0, Math.min(this.takes, bytes.length));
      this.typed += Buffer.from(taken).toString();
      this.takes -= taken.length;
      return taken.length;
    },
  );

  constructor() {
    const store = {
      write: (path: string, value: string) => void this.store.set(path, value),
      remove: (path: string) => void this.store.delete(path),
    };
    const { console } = this;
    const line = { name: "domain 7's console", console, node: NODE };
    ConsolePty.serve(open as OpenPty, line, store, (text) => this.lines.push(text));
  }

  openReader(): number {
    const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
    const fd = openSync(this.store.get(NODE)!, flags);
    this.files.push(fd);
    return fd;
  }

  print(text: string): void {
    this.console.deliver(Buffer.from(text));
  }

  end(): void {
    this.console.end(new Error("gone"));
    for (const fd of this.files.splice(0)) closeSync(fd);
  }
}

/** Reads until the text ends so. */
async function readUntil(fd: number, end: string): Promise<string> {
  const buffer = Buffer.alloc(1 << 16);
  for (let text = ""; ; await sleep(2))
    try {
      for (;;) {
        text += buffer.subarray(0, readSync(fd, buffer)).toString();
        if (text.endsWith(end)) return text;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
}

describe.skipIf(typeof open === "string")(`a console's pty${typeof open === "string" ? `: ${open}` : ""}`, () => {
  let bench: Bench | undefined;
  const start = () => (bench = new Bench());
  afterEach(() => {
    bench?.end();
    bench = undefined;
  });

  test("bytes go both ways unchanged, nothing is echoed", async () => {
    const { console } = start();
    const reader = bench!.openReader();
    bench!.print("Debian\r\n\tlogin: \x03\x1b[0m");
    expect(await readUntil(reader, "\x1b[0m")).toBe("Debian\r\n\tlogin: \x03\x1b[0m");
    writeSync(reader, "root\r\x03\x04\x1a");
    await expect.poll(() => bench!.typed).toBe("root\r\x03\x04\x1a");
    expect(console.read()).toBe("Debian\r\n\tlogin: \x03\x1b[0m");
  });

  test("output before the first reader and between two of them is there", async () => {
    start();
    bench!.print("early ");
    const first = bench!.openReader();
    expect(await readUntil(first, "early ")).toBe("early ");
    closeSync(bench!.files.pop()!);
    bench!.print("between ");
    const second = bench!.openReader();
    bench!.print("late.");
    expect(await readUntil(second, "late.")).toBe("between late.");
    writeSync(second, "x");
    await expect.poll(() => bench!.typed).toBe("x");
  });

  test("with nobody reading the latest output is kept, and the gap is told", async () => {
    start();
    const lines = Array.from({ length: 40_000 }, (_, i) => `line ${String(i).padStart(6, "0")}\r\n`);
    for (const line of lines) bench!.print(line);
    bench!.print("END");
    const text = await readUntil(bench!.openReader(), "END");
    const [before = "", after = ""] = text.split(/\r\n\[xen-ts: .*missing here\]\r\n/);
    const all = `${lines.join("")}END`;
    expect(all.startsWith(before)).toBe(true);
    expect(before.length).toBeGreaterThan(0);
    expect(all.endsWith(after)).toBe(true);
    expect(after.length).toBe(1 << 16);
  });

  test("a guest that takes no input loses none", async () => {
    start();
    bench!.takes = 3;
    const reader = bench!.openReader();
    writeSync(reader, "abcdef");
    await expect.poll(() => bench!.typed).toBe("abc");
    writeSync(reader, "ghi");
    bench!.takes = Number.POSITIVE_INFINITY;
    await expect.poll(() => bench!.typed).toBe("abcdefghi");
  });

  test("ends with the domain: the last words can be read, then it hangs up", async () => {
    start();
    const reader = bench!.openReader();
    bench!.print("reboot: Power down\r\n");
    bench!.console.end(new Error("gone"));
    expect(bench!.store.has(NODE)).toBe(false);
    expect(await readUntil(reader, "down\r\n")).toBe("reboot: Power down\r\n");
    const isHungUp = () => {
      try {
        writeSync(reader, "x");
        return false;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === "EIO";
      }
    };
    await expect.poll(isHungUp, { timeout: 10_000 }).toBe(true);
    expect(readSync(reader, Buffer.alloc(9))).toBe(0);
    expect(bench!.lines).toEqual([]);
  });
});

test("a domain lives without a pty when none can be had", () => {
  const lines: string[] = [];
  const console = new GuestConsole(
    () => "web",
    () => 0,
  );
  const store = { write: () => expect.unreachable(), remove: () => expect.unreachable() };
  const none: OpenPty = () => {
    throw new Error("ENOSPC");
  };
  ConsolePty.serve(none, { name: "domain 7's console", console, node: NODE }, store, (line) => lines.push(line));
  expect(lines).toEqual(["domain 7's console has no pty: ENOSPC"]);
});

test("kept output: the latest bytes, in order", () => {
  const kept = new KeptOutput(4);
  expect(kept.push(Buffer.from("ab"))).toBe(false);
  expect(kept.push(Buffer.from("cd"))).toBe(false);
  expect(kept.push(Buffer.from("e"))).toBe(true);
  expect(Buffer.concat(kept.takeAll()).toString()).toBe("bcde");
  kept.push(Buffer.from("123456789"));
  kept.drop(1);
  expect(Buffer.from(kept.first!).toString()).toBe("789");
});
