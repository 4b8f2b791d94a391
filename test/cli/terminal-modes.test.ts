import { describe, expect, test } from "vitest";
import { TerminalModes } from "../../src/cli/terminal-modes.js";

function restoringAfter(...pieces: string[]): string {
  const modes = new TerminalModes();
  for (const piece of pieces) modes.feed(Buffer.from(piece));
  return modes.restoring();
}

describe("TerminalModes", () => {
  test.each([
    ["plain text", "boot\r\nlogin: ", ""],
    ["vi in the alternate screen", "\x1b[?1049h\x1b[2J", "\x1b[?1049l"],
    ["vi that ended", "\x1b[?1049h\x1b[?1049l", ""],
    ["a hidden cursor", "\x1b[?25l", "\x1b[?25h"],
    ["several modes in one sequence", "\x1b[?1000;1006h", "\x1b[?1000l\x1b[?1006l"],
    ["a mode that needs no undoing", "\x1b[?12h", ""],
    ["the application keypad", "\x1b=", "\x1b>"],
    ["a colour that is on", "\x1b[31mred", "\x1b[0m"],
    ["a colour that was reset", "\x1b[31mred\x1b[m", ""],
    ["a scrolling region", "\x1b[2;20r", "\x1b7\x1b[r\x1b8"],
    ["a full reset", "\x1b[?25l\x1b[31m\x1b=\x1bc", ""],
    ["an endless sequence", `\x1b[${"1;".repeat(1000)}m\x1b[?25l`, "\x1b[?25h"],
    ["an escape in the middle of a sequence", "\x1b[?2\x1b[?25l", "\x1b[?25h"],
  ])("%s", (_what, output, restoring) => {
    expect(restoringAfter(output)).toBe(restoring);
  });

  test("sequences cut anywhere", () => {
    expect(restoringAfter(..."\x1b[?1049h\x1b[?25l")).toBe("\x1b[?1049l\x1b[?25h");
  });

  test("what restores leaves nothing to restore", () => {
    const modes = new TerminalModes();
    modes.feed(Buffer.from("\x1b[?1049;25h\x1b[?25l\x1b[1;5r\x1b=\x1b[7m"));
    modes.feed(Buffer.from(modes.restoring()));
    expect(modes.restoring()).toBe("");
  });
});
