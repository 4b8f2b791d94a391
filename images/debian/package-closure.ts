// Which packages make a small Debian: the essential ones, some more, and all that they depend on. Of alternatives the first is taken,
// but where another does the same with less.
import type { DebianArchive, FoundPackage } from "../archive/debian-archive.js";
import { ImageError } from "../image-error.js";

/** Beside the essential ones: apt, the network, what mounts and checks disks, and busybox for init and DHCP. */
const WANTED = [
  "apt",
  "debian-archive-keyring",
  "iproute2",
  "netbase",
  "e2fsprogs",
  "mount",
  "kmod",
  "passwd",
  "login",
];
const BUSYBOX = "busybox-static";

/** Names that no package has, or whose package would bring much along. */
const INSTEAD: Readonly<Record<string, string>> = { awk: "mawk", usrmerge: "usr-is-merged", "debconf-2.0": "debconf" };
const MAX_PACKAGES = 200;

/** In alphabetical order. Throws ImageError "not-found". */
export function packageClosure(archive: Pick<DebianArchive, "essential" | "find" | "has">): FoundPackage[] {
  const found = new Map<string, FoundPackage>();
  const waiting = [...archive.essential(), ...WANTED, BUSYBOX];
  for (let name: string | undefined = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const instead = INSTEAD[name];
    const chosen: string = instead !== undefined && archive.has(instead) ? instead : name;
    if (found.has(chosen)) continue;
    if (found.size >= MAX_PACKAGES) throw new ImageError("bad-index", "A small Debian has too many packages.");
    const record = archive.find(chosen);
    found.set(chosen, record);
    waiting.push(...record.depends.map((dependency) => dependency.name));
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
