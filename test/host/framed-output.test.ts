import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FramedOutput } from "../../src/host/framed-output.js";

const MARKERS = { begin: "BEGIN k7", end: "\nEND k7" };

function collect(pieces: readonly (string | Uint8Array)[], markers = MARKERS) {
  const got: Uint8Array[] = [];
  const output = new FramedOutput(markers, (bytes) => got.push(Uint8Array.from(bytes)));
  for (const piece of pieces) output.feed(Buffer.from(piece as string));
  return { output, bytes: Buffer.concat(got) };
}

describe("FramedOutput", () => {
  test("gives what is between the markers, and the status", () => {
    const { output, bytes } = collect(["noise\r\nBEGIN k7\nhello\nEND k7 3\n# "]);
    expect(bytes.toString()).toBe("hello");
    expect(output.status).toBe(3);
  });

  test("takes lines that end in CR LF", () => {
    const { output, bytes } = collect(["BEGIN k7\r\nhello\nEND k7 0\r\n"]);
    expect([bytes.toString(), output.status]).toEqual(["hello", 0]);
  });

  test("the echo of a typed line with the begin marker in it does not begin the output", () => {
    const { output, bytes } = collect(["# run BEGIN k7 now\r\nBEGIN k7\nx\nEND k7 0\n"]);
    expect([bytes.toString(), output.status]).toEqual(["x", 0]);
  });

  test("an end marker of another token, or without a status, is output", () => {
    const { output, bytes } = collect(["BEGIN k7\na\nEND k8 0\n\nEND k7 none\n\nEND k7 12\n"]);
    expect([bytes.toString(), output.status]).toEqual(["a\nEND k8 0\n\nEND k7 none\n", 12]);
  });

  test("hands output on before the command ends", () => {
    const { output, bytes } = collect(["BEGIN k7\n", "0123456789abcdef"]);
    expect(bytes.toString()).toBe("0123456789");
    expect([output.hasBegun, output.status]).toEqual([true, undefined]);
  });

  test("any bytes pass unchanged however the console cuts them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(400), { maxLength: 20 }), (data, cuts) => {
        const whole = Buffer.concat([Buffer.from("x\nBEGIN k7\n"), data, Buffer.from("\nEND k7 0\nrest")]);
        const at = [0, ...cuts.map((cut) => cut % whole.length).sort((a, b) => a - b), whole.length];
        const pieces = at.slice(1).map((end, i) => whole.subarray(at[i], end));
        const { output, bytes } = collect(pieces);
        expect(output.status).toBe(0);
        expect(bytes.equals(Buffer.from(data))).toBe(true);
      }),
    );
  });
});
