// `key=value` words after the file on the command line (`create f.cfg memory=64`). xl reads them as further lines. A shell has often
// taken the quotes away, so a value that can't be read otherwise is a string.

import { ConfigError } from "./config-error.js";
import { parseXlSyntax } from "./xl-parser.js";
import { quote } from "./xl-printer.js";
import type { XlAssignment } from "./xl-syntax.js";

export const COMMAND_LINE = "command line";

/** @throws ConfigError */
export function overrideAssignments(words: readonly string[]): XlAssignment[] {
  return words.flatMap((word, i) => assignments(word, i + 1));
}

function assignments(word: string, number: number): XlAssignment[] {
  const file = `${COMMAND_LINE}, ${JSON.stringify(word)}`;
  const bare = /^\s*([a-z][_0-9a-z]*)\s*(\+?=)\s*([^"'[\s][^\n]*?)\s*$/.exec(word);
  if (!/^\s*[a-z][_0-9a-z]*\s*\+?=/.test(word))
    throw new ConfigError({ file: COMMAND_LINE, line: 0 }, `${JSON.stringify(word)} (word ${number}) isn't key=value`);
  try {
    return parseXlSyntax(word, file).map((assignment) => ({ ...assignment, line: 0 }));
  } catch (error) {
    if (!(error instanceof ConfigError) || !bare) throw error;
    return parseXlSyntax(`${bare[1]}${bare[2]}${quote(bare[3]!)}`, file).map((each) => ({ ...each, line: 0 }));
  }
}
