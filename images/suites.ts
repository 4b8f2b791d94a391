// The Debian suites that images can be made from, and where each is served.
import { ImageError } from "./image-error.js";

export type SuiteName = "bullseye" | "bookworm" | "trixie" | "sid";

/** One archive of a suite: base URL kind and the directory under dists/. */
export interface SuiteSource {
  readonly archive: "debian" | "security";
  readonly directory: string;
}

/** The security archive comes too where there is one: the newest kernels of stable suites are there. */
export const SUITES: Readonly<Record<SuiteName, readonly SuiteSource[]>> = {
  bullseye: stable("bullseye"),
  bookworm: stable("bookworm"),
  trixie: stable("trixie"),
  sid: [{ archive: "debian", directory: "sid" }],
};
export const SUITE_NAMES = Object.keys(SUITES) as readonly SuiteName[];
export const DEFAULT_SUITE: SuiteName = "bookworm";

/** Checks a suite's name that comes from a user. Throws ImageError "not-found". */
export function checkSuite(name: string): SuiteName {
  if (Object.hasOwn(SUITES, name)) return name as SuiteName;
  throw new ImageError(
    "not-found",
    `There is no suite ${JSON.stringify(name)}; choose one of ${SUITE_NAMES.join(", ")}.`,
  );
}

function stable(codename: string): SuiteSource[] {
  return [
    { archive: "debian", directory: codename },
    { archive: "security", directory: `${codename}-security` },
  ];
}
