// From the command table to a commander program. Commander parses, helps and suggests; messages and exit codes are ours.

import { Argument, Command as CommanderCommand, CommanderError, Option } from "commander";
import { CliError, packageInfo } from "./cli-error.js";
import type { Command, OptionRow } from "./command.js";
import { commands, groups } from "./command-table.js";
import { ExitCode } from "./exit-codes.js";
import { takeGlobalOptions } from "./global-options.js";
import { refusedCommands, refusedHelp } from "./refused-commands.js";

/** Runs the command that `words` (without node and script) name. @returns the exit code. @throws CliError and others. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.Done;
  const { global, rest } = takeGlobalOptions(words);
  const program = newCommand("xen-ts")
    .enablePositionalOptions()
    .description("Boots real, unmodified Xen kernels on an x86 machine in TypeScript: no root, no VT-x, no Xen.")
    .version(packageInfo().version, "-V, --version", "print the version")
    .addHelpText(
      "after",
      "\n`xen-ts boot` without more boots Debian as dom0 to a shell; Ctrl-] leaves it.\n`xen-ts help COMMAND` explains a command; -v, -f, -t and -N (dry run) before it are xl's.",
    );
  const parents = new Map<string, CommanderCommand>();
  for (const [name, summary] of Object.entries(groups)) parents.set(name, newCommand(name).description(summary));
  for (const parent of parents.values()) program.addCommand(parent);
  for (const row of commands) {
    const parent = row.path.length > 1 ? parents.get(row.path[0]!)! : program;
    parent.addCommand(
      commandOf(row, async (operands, options) => {
        if (global.dryrun && !("dryrun" in row.options))
          throw failed("command does not implement -N (dryrun) option", { isPlain: true });
        exitCode = await row.run(operands, global.dryrun ? { ...options, dryrun: true } : options);
      }),
    );
  }
  try {
    if (rest[0] === "help") {
      const named = rest.slice(1).filter((word) => word !== "--long");
      if (named.length > 0) await program.parseAsync([...withFullName(named), "--help"], { from: "user" });
      program.outputHelp();
      if (rest.includes("--long")) process.stdout.write(`\n${refusedHelp()}`);
    } else if (rest.length === 0) program.outputHelp();
    else await program.parseAsync(withFullName(rest), { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return ExitCode.Done;
    if (error.code === "commander.help") return ExitCode.Usage;
    // In xl's words.
    if (error.code === "commander.unknownCommand" && !parents.has(withFullName(rest)[0]!))
      throw failed(describe(error.message).replace(/^unknown command '.*?'/, "command not implemented"), {
        isPlain: true,
      });
    throw new CliError(ExitCode.Usage, describe(error.message));
  }
  return exitCode;
}

const failed = (text: string, options?: { isPlain: boolean }) => new CliError(ExitCode.Failed, text, options);

/** xl takes the beginning of a command's name when only one has it. @throws CliError: it is one that can't be done */
function withFullName(words: readonly string[]): string[] {
  const [first = "", ...rest] = words;
  // The names of Debian's tools.
  const tool = /^xenstore-([a-z]+)$/.exec(first)?.[1];
  if (tool !== undefined) return ["xenstore", tool, ...rest];
  const names = new Set([...commands.map(({ path }) => path[0]!), ...refusedCommands.keys()]);
  const fitting = [...names].filter((name) => name.startsWith(first));
  const name = names.has(first) || first === "" || fitting.length !== 1 ? first : fitting[0]!;
  const reason = refusedCommands.get(name);
  if (reason !== undefined) throw failed(`${name}: ${reason}`);
  return [name, ...rest];
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

function commandOf(row: Command<object>, action: (operands: readonly string[], options: object) => Promise<void>) {
  const made = newCommand(row.path.at(-1)!).description(row.summary).allowExcessArguments(false);
  if (row.help) made.addHelpText("after", `\n${row.help}`);
  const { operands = [] } = row;
  for (const { name, description, required, variadic } of operands) {
    const words = variadic ? `${name}...` : name;
    made.addArgument(new Argument(required ? `<${words}>` : `[${words}]`, description));
  }
  const options = Object.entries(row.options as Record<string, OptionRow<unknown>>).map(([key, optionRow]) => {
    const option = optionOf(optionRow);
    made.addOption(option);
    // Commander names an option after its flags, "-p" p; the row has a name of its own.
    return { key, name: option.attributeName() };
  });
  return made.action((...given: unknown[]) => {
    const words = given.slice(0, operands.length).flat() as (string | undefined)[];
    return action(
      words.filter((word) => word !== undefined),
      Object.fromEntries(
        options.flatMap(({ key, name }) => (made.opts()[name] === undefined ? [] : [[key, made.opts()[name]]])),
      ),
    );
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
