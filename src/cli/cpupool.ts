// The one CPU pool of a host, by xl's name and number.

import { CliError } from "./cli-error.js";
import { ExitCode } from "./exit-codes.js";

export const POOL_NAME = "Pool-0";

/** @throws CliError: it is another one */
export function requirePool(word: string | undefined): void {
  if (word === undefined || word === POOL_NAME || word === "0") return;
  throw new CliError(ExitCode.Failed, `unknown cpupool '${word}'`, { isPlain: true });
}
