// Failures of disk images and block stores. The message is one sentence that names the file; `code` is stable.

export type StorageErrorCode =
  /** The host's read or write failed. */
  | "io"
  | "no-space"
  | "read-only"
  /** Another disk uses the file, and one of the two writes. */
  | "in-use"
  /** Not whole sectors, or beyond the end of the disk. */
  | "out-of-range"
  | "closed"
  | "not-found"
  | "permission-denied"
  /** The file isn't what its format says, or contradicts itself. */
  | "corrupt"
  /** A format or feature that isn't implemented. */
  | "unsupported";

export class StorageError extends Error {
  readonly code: StorageErrorCode;

  constructor(code: StorageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StorageError";
    this.code = code;
  }
}

/** What the host's file system says, as a StorageError that names the file. */
export function storageError(path: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  switch (code) {
    case "ENOENT":
      return new StorageError("not-found", `${path}: no such file`, { cause });
    case "EACCES":
    case "EPERM":
      return new StorageError("permission-denied", `${path}: permission denied`, { cause });
    case "EROFS":
      return new StorageError("read-only", `${path}: read-only file system`, { cause });
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return new StorageError("no-space", `${path}: no space left on the host's disk`, { cause });
    case "EISDIR":
      return new StorageError("unsupported", `${path}: is a directory`, { cause });
    default:
      return new StorageError("io", `${path}: ${message ?? String(cause)}`, { cause });
  }
}
