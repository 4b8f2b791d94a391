// The configuration that a command line names: a file, KEY=VALUE words, or both.

import { readFile } from "node:fs/promises";
import { CliError } from "./cli-error.js";
import { ExitCode } from "./exit-codes.js";

export interface ConfigSource {
  readonly text: string;
  /** For messages. */
  readonly file: string;
  readonly overrides: readonly string[];
  /** Relative paths in it are as the command's own. */
  readonly directory: string;
}

/** @param defconfig a file given by option. @throws CliError */
export async function configSource(operands: readonly string[], defconfig: string | undefined): Promise<ConfigSource> {
  const [first, ...rest] = operands;
  const isFile = first !== undefined && !first.includes("=");
  if (isFile && defconfig !== undefined)
    throw new CliError(ExitCode.Usage, `two configuration files: ${first} and ${defconfig}`);
  const file = isFile ? first : defconfig;
  const text = file === undefined ? "" : await readConfig(file);
  return { text, file: file ?? "<command line>", overrides: isFile ? rest : operands, directory: process.cwd() };
}

async function readConfig(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "No such file or directory",
      EACCES: "Permission denied",
      EISDIR: "Is a directory",
    };
    const text = `Failed to read config file: ${file}: ${reasons[code ?? ""] ?? message}`;
    throw new CliError(3, text, { isPlain: true });
  }
}
