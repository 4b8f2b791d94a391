// The syntax of xl.cfg(5) as data: assignments in the order of the file, values as they were written.

/** A string or a number: whoever reads the key decides which it is to be, as in xl ("2" does for 2). */
export interface XlAtom {
  readonly kind: "atom";
  readonly text: string;
  /** Written in quotes. */
  readonly isQuoted: boolean;
  readonly line: number;
}

export interface XlList {
  readonly kind: "list";
  readonly items: readonly XlValue[];
  readonly line: number;
}

export type XlValue = XlAtom | XlList;

export interface XlAssignment {
  readonly key: string;
  readonly operator: "=" | "+=";
  readonly value: XlValue;
  /** The file, or what stands for it: where an error is looked for. */
  readonly file: string;
  readonly line: number;
}
