#!/usr/bin/env node
// The entry of the command `xen-ts`: runs it, and turns what escapes into one line on stderr and an exit code.

import { writeSync } from "node:fs";
import { lowerBackgroundThreads } from "./background-threads.js";
import { describeError, describeOutputError } from "./cli-error.js";
import { runCommandLine } from "./program.js";

function end({ exitCode, text }: { exitCode: number; text: string }): never {
  // After the handlers that give the terminal back.
  if (text !== "") process.on("exit", () => writeSync(process.stderr.fd, text));
  process.exit(exitCode);
}

process.on("uncaughtException", (error) => end(describeError(error)));
for (const output of [process.stdout, process.stderr]) {
  output.on("error", (error) => {
    // A command that listens too ends in its own way.
    if (output.listenerCount("error") === 1) end(describeOutputError(error));
  });
}

lowerBackgroundThreads();
try {
  process.exitCode = await runCommandLine(process.argv.slice(2));
} catch (error) {
  const { exitCode, text } = describeError(error);
  process.stderr.write(text);
  process.exitCode = exitCode;
}
