// xl's options before a command's name: -v, -f, -t and -N, in one word or several.

export interface GlobalOptions {
  /** -N: show what would be done. */
  readonly dryrun: boolean;
}

const WORD = /^-[vftN]+$/;

/** @returns what was given, and the words from the command on */
export function takeGlobalOptions(words: readonly string[]): {
  readonly global: GlobalOptions;
  readonly rest: string[];
} {
  let at = 0;
  let dryrun = false;
  for (; WORD.test(words[at] ?? ""); at++) dryrun ||= words[at]!.includes("N");
  return { global: { dryrun }, rest: words.slice(at) };
}

/** For the options of a command that has a dry run. */
export const dryrunRow = {
  flags: "--dryrun",
  description: "show what would be done and do nothing, as xl's -N before the command",
} as const;
