// Errors of XenStore requests: they travel as names, not as numbers (io/xs_wire.h: xsd_errors).

export type StoreErrorName =
  | "EINVAL"
  | "EACCES"
  | "EEXIST"
  | "EISDIR"
  | "ENOENT"
  | "ENOMEM"
  | "ENOSPC"
  | "EIO"
  | "ENOTEMPTY"
  | "ENOSYS"
  | "EROFS"
  | "EBUSY"
  | "EAGAIN"
  | "EISCONN"
  | "E2BIG"
  | "EPERM";

/** A request that fails; the client gets the name. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorName;

  constructor(code: StoreErrorName) {
    super(code);
    this.code = code;
  }
}
