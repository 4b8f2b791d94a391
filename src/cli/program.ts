// From the command table to a commander program. Commander parses, helps and suggests; messages and exit codes are ours.

import { Argument, Command as CommanderCommand, CommanderError, Option } from "commander";
import { CliError, packageInfo } from "./cli-error.js";
import type { Command, OptionRow } from "./command.js";
import { commands, groups } from "./command-table.js";
import { ExitCode } from "./exit-codes.js";

/** Runs the command that `words` (without node and script) name. @returns the exit code. @throws CliError and others. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.Done;
  const program = newCommand("xen-ts")
    .description("Boots real, unmodified Xen kernels on an x86 machine in TypeScript: no root, no VT-x, no Xen.")
    .version(packageInfo().version, "-V, --version", "print the version")
    .addHelpText("after", "\n`xen-ts boot` without more boots Debian as dom0 to a shell; Ctrl-] leaves it.");
  const parents = new Map<string, CommanderCommand>();
  for (const [name, summary] of Object.entries(groups)) parents.set(name, newCommand(name).description(summary));
  for (const parent of parents.values()) program.addCommand(parent);
  for (const row of commands) {
    const parent = row.path.length > 1 ? parents.get(row.path[0]!)! : program;
    parent.addCommand(
      commandOf(row, async (argument, options, words) => {
        exitCode = await row.run(argument, options, words);
      }),
    );
  }
  try {
    if (words.length === 0) program.outputHelp();
    else await program.parseAsync(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return ExitCode.Done;
    if (error.code === "commander.help") return ExitCode.Usage;
    throw new CliError(ExitCode.Usage, describe(error.message));
  }
  return exitCode;
}

function newCommand(name: string): CommanderCommand {
  const made = new CommanderCommand(name).exitOverride().showSuggestionAfterError(true).helpCommand(false);
  // The error line is printed in one place, by main.
  return made.configureOutput({ outputError: () => undefined }).helpOption("-h, --help", "print this help");
}

/** Commander's "error: unknown option '--x'\n(Did you mean --y?)" as one line. */
function describe(message: string): string {
  return message
    .replace(/^error: /, "")
    .replaceAll("\n", " ")
    .trim();
}

function commandOf(
  row: Command<object>,
  action: (argument: string | undefined, options: object, words: readonly string[]) => Promise<void>,
) {
  const made = newCommand(row.path.at(-1)!).description(row.summary).allowExcessArguments(false);
  if (row.help) made.addHelpText("after", `\n${row.help}`);
  if (row.argument) {
    const { name, description, required } = row.argument;
    made.addArgument(new Argument(required ? `<${name}>` : `[${name}]`, description));
  }
  if (row.words) {
    const { name, description, required } = row.words;
    made.addArgument(new Argument(required ? `<${name}...>` : `[${name}...]`, description));
  }
  for (const option of Object.values(row.options as Record<string, OptionRow<unknown>>))
    made.addOption(optionOf(option));
  return made.action((...given: unknown[]) => {
    const argument = row.argument ? (given[0] as string | undefined) : undefined;
    const words = row.words ? (given[row.argument ? 1 : 0] as string[]) : [];
    return action(argument, made.opts(), words);
  });
}

function optionOf(row: OptionRow<unknown>): Option {
  const option = new Option(row.flags, row.description);
  if (row.choices) option.choices(row.choices);
  const { parse } = row;
  if (parse) option.argParser((text: string) => parse(text));
  if (row.default !== undefined) option.default(row.default);
  return option;
}
