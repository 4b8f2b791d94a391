import { describe, expect, test } from "vitest";
import { BufferedOutput } from "../../src/cli/buffered-output.js";
import { ConsoleOutput } from "../../src/cli/console-output.js";

function output(until?: RegExp) {
  const shown: Buffer[] = [];
  const logged: Buffer[] = [];
  let matches = 0;
  const log = new BufferedOutput((bytes) => logged.push(Buffer.from(bytes)));
  const console = new ConsoleOutput({
    show: (bytes) => shown.push(Buffer.from(bytes)),
    log,
    until,
    onMatch: () => matches++,
  });
  const feed = (text: string) => console.guest(Buffer.from(text));
  return { console, feed, shown: () => Buffer.concat(shown).toString(), logged, log, matches: () => matches };
}

describe("ConsoleOutput", () => {
  test("passes bytes unchanged to stdout and log", () => {
    const { console, log, logged } = output();
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    console.guest(bytes);
    log.flush();
    expect(Buffer.concat(logged)).toEqual(Buffer.from(bytes));
  });

  test("the hypervisor's lines stand on lines of their own", () => {
    const { console, feed, shown } = output();
    console.hypervisor("one");
    feed("[ 0.1] half");
    console.hypervisor("two");
    feed("rest\r\n");
    console.endLine();
    expect(shown()).toBe("(XEN) one\r\n[ 0.1] half\r\n(XEN) two\r\nrest\r\n");
  });

  test("--until matches over pieces and lines, once", () => {
    const { feed, matches } = output(/^login: $/m);
    feed("not login: x\r\nlog");
    expect(matches()).toBe(0);
    feed("in: ");
    expect(matches()).toBe(1);
    feed("\r\nlogin: ");
    expect(matches()).toBe(1);
  });
});

describe("BufferedOutput", () => {
  test("writes when the event loop has its turn, in order, and copies what it is given", async () => {
    const blocks: string[] = [];
    const sink = new BufferedOutput((bytes) => blocks.push(Buffer.from(bytes).toString()));
    const bytes = Buffer.from("b");
    sink.write("a");
    sink.write(bytes);
    bytes[0] = 0x78;
    expect(blocks).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(blocks).toEqual(["ab"]);
    sink.write("c".repeat(70_000));
    expect(blocks[1]).toHaveLength(70_000);
    sink.flush();
    expect(blocks).toHaveLength(2);
  });
});
