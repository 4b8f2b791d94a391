import { describe, expect, test } from "vitest";
import { XenError } from "../../src/host/errors.js";
import { GuestConsole } from "../../src/host/guest-console.js";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("GuestConsole", () => {
  test("waitFor consumes up to the end of the match, read the rest", async () => {
    const console = new GuestConsole(
      () => "d1",
      () => 0,
    );
    console.deliver(bytes("one two three"));
    const match = await console.waitFor(/t(w)o/g);
    expect([match[0], match[1], match.input]).toEqual(["two", "w", "one two three"]);
    expect(console.read()).toBe(" three");
    expect(console.read()).toBe("");
  });

  test("waitFor sees text that comes in pieces, also within a character", async () => {
    const console = new GuestConsole(
      () => "d1",
      () => 0,
    );
    const found = console.waitFor(/grün$/);
    const text = bytes("ist grün");
    for (const byte of text) console.deliver(Uint8Array.of(byte));
    expect((await found)[0]).toBe("grün");
  });

  test("a timeout names the domain, the pattern and the end of the console", async () => {
    const console = new GuestConsole(
      () => "web",
      () => 0,
    );
    console.deliver(bytes("Kernel panic"));
    const error = await console.waitFor(/login:/, { timeout: 10 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(XenError);
    expect((error as XenError).code).toBe("timeout");
    expect((error as XenError).message).toBe(
      "web: the console did not show /login:/ within 10 ms; it ends with: Kernel panic",
    );
  });

  test("an abort signal ends the wait with its reason", async () => {
    const console = new GuestConsole(
      () => "d1",
      () => 0,
    );
    const controller = new AbortController();
    const waiting = console.waitFor(/x/, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });

  test("the end of the domain fails waiters, writers and later calls", async () => {
    const console = new GuestConsole(
      () => "d1",
      () => 0,
    );
    const waiting = console.waitFor(/x/);
    const writing = console.write("abc");
    console.end(new XenError("domain-gone", "d1: gone"));
    await expect(waiting).rejects.toThrow("d1: gone");
    await expect(writing).rejects.toThrow("d1: gone");
    await expect(console.waitFor(/y/)).rejects.toThrow("d1: gone");
    await expect(console.write("z")).rejects.toThrow("d1: gone");
  });

  test("text that was there before the end still matches", async () => {
    const console = new GuestConsole(
      () => "d1",
      () => 0,
    );
    console.deliver(bytes("Power down"));
    console.end(new XenError("domain-gone", "gone"));
    expect((await console.waitFor(/Power down/)).index).toBe(0);
  });

  test("write goes on where a full queue stopped it", async () => {
    const taken: string[] = [];
    const console = new GuestConsole(
      () => "d1",
      (input) => {
        const part = input.subarray(0, 2);
        taken.push(Buffer.from(part).toString());
        return part.length;
      },
    );
    await console.write("abcde");
    expect(taken.join("")).toBe("abcde");
  });

  test("async iteration yields the pieces and ends with the domain", async () => {
    const console = new GuestConsole(
      () => "d1",
      () => 0,
    );
    const pieces: string[] = [];
    const reading = (async () => {
      for await (const piece of console) pieces.push(Buffer.from(piece).toString());
    })();
    console.deliver(bytes("a"));
    console.deliver(bytes("b"));
    await new Promise((resolve) => setImmediate(resolve));
    console.deliver(bytes("c"));
    console.end(new XenError("domain-gone", "gone"));
    await reading;
    expect(pieces).toEqual(["a", "b", "c"]);
  });
});
