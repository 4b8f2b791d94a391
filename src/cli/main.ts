#!/usr/bin/env node
// The entry of the command `xen-ts`: runs it, and turns what escapes into one line on stderr and an exit code.

import { writeSync } from "node:fs";
import { lowerBackgroundThreads } from "./background-threads.js";
import { describeError } from "./cli-error.js";
import { runCommandLine } from "./program.js";

process.on("uncaughtException", (error) => {
  const { exitCode, text } = describeError(error);
  // After the handlers that give the terminal back.
  process.on("exit", () => writeSync(process.stderr.fd, text));
  process.exit(exitCode);
});

lowerBackgroundThreads();
try {
  process.exitCode = await runCommandLine(process.argv.slice(2));
} catch (error) {
  const { exitCode, text } = describeError(error);
  process.stderr.write(text);
  process.exitCode = exitCode;
}
