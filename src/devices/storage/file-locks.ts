// Who uses which image file, so that no two domains write to one, and none reads what another writes: the rule of Xen's block
// scripts. A file is known by device and inode, so a second name or a symbolic link is the same file.

import { StorageError } from "./storage-error.js";

interface Holder {
  readonly name: string;
  readonly isWriter: boolean;
}

export class FileLocks {
  readonly #files = new Map<string, Set<Holder>>();

  /**
   * @param identity what is the same for all names of the file
   * @param holder for messages: "domain web, xvda"
   * @returns what ends it
   * @throws StorageError in-use
   */
  acquire(identity: string, path: string, isWriter: boolean, holder: string): () => void {
    const holders = this.#files.get(identity) ?? new Set();
    for (const other of holders)
      if (isWriter || other.isWriter)
        throw new StorageError(
          "in-use",
          `${path}: in use by ${other.name} for ${other.isWriter ? "writing" : "reading"}`,
        );
    const mine: Holder = { name: holder, isWriter };
    holders.add(mine);
    this.#files.set(identity, holders);
    return () => {
      holders.delete(mine);
      if (holders.size === 0) this.#files.delete(identity);
    };
  }
}
