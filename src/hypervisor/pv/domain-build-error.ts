// Why a domain can't be built.

export type DomainBuildErrorCode = "not-enough-memory" | "out-of-machine-memory" | "command-line-too-long";

export class DomainBuildError extends Error {
  override readonly name = "DomainBuildError";
  readonly code: DomainBuildErrorCode;
  /** For the memory errors: 4096-byte pages needed and given. */
  readonly neededPages: number | undefined;
  readonly givenPages: number | undefined;

  constructor(code: DomainBuildErrorCode, message: string, neededPages?: number, givenPages?: number) {
    super(message);
    this.code = code;
    this.neededPages = neededPages;
    this.givenPages = givenPages;
  }
}

/** Pages as MiB, rounded up, for messages. */
export function mebibytes(pages: number): number {
  return Math.ceil(pages / 256);
}
