// The shape of the command table's rows. A row's options are declared by a record whose keys are those of the options object that
// `run` gets, so an option that is forgotten or misspelt doesn't compile.

export interface OptionRow<T> {
  /** As commander has it: "--memory <size>". */
  readonly flags: string;
  readonly description: string;
  /** From the text on the command line; throws CliError when it can't be used. Switches have none. */
  readonly parse?: (text: string) => T;
  readonly choices?: readonly string[];
  readonly default?: T;
}

export type OptionRows<Options> = { readonly [Key in keyof Options]-?: OptionRow<NonNullable<Options[Key]>> };

export interface Operand {
  readonly name: string;
  readonly description: string;
  readonly required?: boolean;
  /** The last one: any number of them. */
  readonly variadic?: boolean;
}

export interface Command<Options extends object> {
  /** Words after `xen-ts`: ["image", "build"]. */
  readonly path: readonly string[];
  readonly summary: string;
  /** Further paragraphs of --help. */
  readonly help?: string;
  /** What follows the command's words, in order. */
  readonly operands?: readonly Operand[];
  readonly options: OptionRows<Options>;
  /** Resolves with the process's exit code. */
  readonly run: (operands: readonly string[], options: Options) => Promise<number>;
}

/** Keeps the type of a row's options between its declaration and its `run`. */
export function command<Options extends object>(row: Command<Options>): Command<object> {
  return row as unknown as Command<object>;
}
