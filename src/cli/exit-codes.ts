// What the exit codes of xen-ts mean; the README's table says the same. `--exec` exits with the guest command's status instead.

export const ExitCode = {
  /** The guest powered off, --until matched, or the user left with Ctrl-]. */
  Done: 0,
  /** What was asked of a host or a domain could not be done. */
  Failed: 1,
  Usage: 2,
  /** A kernel, ramdisk or image can't be used. */
  BadInput: 120,
  GuestCrash: 121,
  Timeout: 124,
  /** A defect of xen-ts. */
  Internal: 125,
} as const;

/** As shells have it: 128 and the signal's number. */
export const SIGNAL_CODES = { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 } as const;
export type HandledSignal = keyof typeof SIGNAL_CODES;
