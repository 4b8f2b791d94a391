// The grammar of xl.cfg. The two tables were recorded from libxlutil 4.17 (xlu_cfg_readdata); the properties hold for any text.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.js";
import { mergeAssignments, parseXlSyntax } from "../../src/config/xl-parser.js";
import { printXlSyntax } from "../../src/config/xl-printer.js";
import type { XlAssignment, XlValue } from "../../src/config/xl-syntax.js";

/** Values as plain arrays and strings. */
function plain(value: XlValue): unknown {
  return value.kind === "atom" ? value.text : value.items.map(plain);
}

function read(text: string): Record<string, unknown> {
  const merged = mergeAssignments(parseXlSyntax(text, "f.cfg"));
  return Object.fromEntries([...merged].map(([key, { value }]) => [key, plain(value)]));
}

describe("what libxlutil accepts", () => {
  test.each([
    ['a=1\nb=\'x\'; c="y\\"z"', { a: "1", b: "x", c: 'y"z' }],
    ["a = 0x10; b=010", { a: "0x10", b: "010" }],
    ["a=[1,\n2 , # c\n[3],'x',\n]", { a: ["1", "2", ["3"], "x"] }],
    ["a=[\n]", { a: [] }],
    ['a="1"\na+="2"', { a: "12" }],
    ['a=["1"]\na+=["2",3]', { a: ["1", "2", "3"] }],
    ['b+="2"', { b: "2" }],
    ['b+=["2"]', { b: ["2"] }],
    ["a=1;;b=2;", { a: "1", b: "2" }],
    ["a=08", { a: "08" }],
    ["a=1abc", { a: "1abc" }],
    ['a="\\n\\t\\r\\a\\b\\f\\v\\"\\\'\\\\"', { a: "\n\t\r\x07\b\f\v\"'\\" }],
    ['a=[["1"],"2"]\nb=[1]; b="x"', { a: [["1"], "2"], b: "x" }],
    ['a="#"', { a: "#" }],
    ["a=[ # c\n1]", { a: ["1"] }],
    ['\ta\t=\t1\nb="é"\n', { a: "1", b: "é" }],
  ])("%j", (text, expected) => expect(read(text)).toEqual(expected));
});

describe("what we take beyond it", () => {
  test.each([
    ["a=1\r\nb=2\r\n", { a: "1", b: "2" }],
    ["a=1 # the last line", { a: "1" }],
    ['a="\\x41\\101"', { a: "AA" }],
  ])("%j", (text, expected) => expect(read(text)).toEqual(expected));
});

describe("what libxlutil refuses", () => {
  test.each([
    ['a="x" "y"', "f.cfg:1: a: expected the end of the line or `;', found `y'"],
    ["a='x\\q'", "f.cfg:1: unknown escape `\\\\q' in a string"],
    ["a=[,]", "f.cfg:1: a: expected a string in quotes, a number or a list, found `,'"],
    ["a=[1,,2]", "f.cfg:1: a: expected a string in quotes, a number or a list, found `,'"],
    ['A="up"', 'f.cfg:1: `A="up"\': keys are written in small letters'],
    ["_a=1", "f.cfg:1: `_a=1': keys are written in small letters"],
    ["a=x", "f.cfg:1: a: expected a string in quotes, a number or a list, found `x'"],
    ['a="1"\na+=["2"]', "f.cfg:2: a: a list and a single value can't be added"],
    ["a=1 b=2", "f.cfg:1: a: expected the end of the line or `;', found `b'"],
    ['a="x\ny"', "f.cfg:1: the string `\"x' doesn't end on its line"],
    ["a=-1", "f.cfg:1: `-1' looks like Python, which isn't run; write plain values"],
    ["a=\n1", "f.cfg:1: a: expected a string in quotes, a number or a list, found the end of the line"],
    ['a = """x"""', "f.cfg:1: a: expected the end of the line or `;', found `x'"],
    ['a=("x")', "f.cfg:1: `(\"x\")' looks like Python, which isn't run; write plain values"],
    ["= 3\nb=1", "f.cfg:1: expected a key, found `='"],
    ["a=[1 2]", "f.cfg:1: a: expected `,' or `]', found `2'"],
    ["b=1\n\na=[1\n2]", "f.cfg:4: a: expected `,' or `]', found `2'"],
    ["a=[1;2]", "f.cfg:1: a: expected `,' or `]', found `;'"],
    ["a=[1][2]", "f.cfg:1: a: expected the end of the line or `;', found `['"],
    ["a", "f.cfg:1: a: expected `=' or `+=', found the end of the file"],
    ["a=[", "f.cfg:1: a: expected a string in quotes, a number or a list, found the end of the file"],
    ["a-b=1", "f.cfg:1: unexpected `-b=1'"],
    ['a="\\0"', "f.cfg:1: unknown escape `\\\\0' in a string"],
    [`a=${"[".repeat(100_000)}`, "f.cfg:1: a: lists are nested more than 32 deep"],
  ])("%j", (text, message) => {
    expect(() => read(text)).toThrow(new ConfigError({ file: "f.cfg", line: 1 }, "").constructor as typeof ConfigError);
    expect(() => read(text)).toThrow(message);
  });
});

const atom = fc.oneof(
  fc.string({ unit: "binary" }).map((text) => ({ text: text.replaceAll("\0", ""), isQuoted: true })),
  fc.stringMatching(/^[0-9][0-9a-fx]{0,6}$/).map((text) => ({ text, isQuoted: false })),
);
const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    atom.map((each) => ({ kind: "atom", line: 1, ...each })),
    fc.array(tie("value"), { maxLength: 4 }).map((items) => ({ kind: "list", items, line: 1 })),
  ),
}));
const anyAssignment = fc.record({
  key: fc.stringMatching(/^[a-z][_0-9a-z]{0,8}$/),
  operator: fc.constantFrom("=" as const, "+=" as const),
  value: anyValue as fc.Arbitrary<XlValue>,
});

describe("properties", () => {
  test("what is printed parses to the same", () => {
    fc.assert(
      fc.property(fc.array(anyAssignment), (made) => {
        const assignments: XlAssignment[] = made.map((each, i) => ({ ...each, file: "f", line: i + 1 }));
        const parsed = parseXlSyntax(printXlSyntax(assignments), "f");
        const simple = (each: XlAssignment) => [each.key, each.operator, plain(each.value), each.line];
        expect(parsed.map(simple)).toEqual(assignments.map(simple));
      }),
    );
  });

  test("any text parses or is a ConfigError", () => {
    const words = fc.constantFrom(
      "a",
      "=",
      "+=",
      "[",
      "]",
      ",",
      ";",
      "\n",
      '"x"',
      "'y'",
      "12",
      "#",
      "\\",
      '"',
      " ",
      "é",
    );
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(words).map((all) => all.join("")),
    );
    fc.assert(
      fc.property(text, (any) => {
        try {
          mergeAssignments(parseXlSyntax(any, "f"));
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
    );
  });
});
