// The keys whose signatures on a Debian archive's InRelease files are believed: those of the package debian-archive-keyring.
// sid is signed with the automatic keys of the stable releases.
import { readCertificate, type SigningKey } from "../openpgp/certificate.js";
import { BOOKWORM_AUTOMATIC, BOOKWORM_SECURITY_AUTOMATIC, BOOKWORM_STABLE } from "./bookworm.js";
import { BULLSEYE_AUTOMATIC, BULLSEYE_SECURITY_AUTOMATIC, BULLSEYE_STABLE } from "./bullseye.js";
import { TRIXIE_AUTOMATIC, TRIXIE_SECURITY_AUTOMATIC, TRIXIE_STABLE } from "./trixie.js";

export const DEBIAN_ARCHIVE_CERTIFICATES: readonly string[] = [
  BULLSEYE_AUTOMATIC,
  BULLSEYE_SECURITY_AUTOMATIC,
  BULLSEYE_STABLE,
  BOOKWORM_AUTOMATIC,
  BOOKWORM_SECURITY_AUTOMATIC,
  BOOKWORM_STABLE,
  TRIXIE_AUTOMATIC,
  TRIXIE_SECURITY_AUTOMATIC,
  TRIXIE_STABLE,
];

/** The signing keys of Debian's archive. */
export function debianArchiveKeys(): SigningKey[] {
  return DEBIAN_ARCHIVE_CERTIFICATES.flatMap(readCertificate);
}
