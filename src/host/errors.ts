// Errors that users of the library meet. `code` is stable; the message is one sentence that names the object.

export type XenErrorCode =
  | "bad-argument"
  | "bad-kernel"
  | "bad-ramdisk"
  | "bad-disk"
  | "bad-config"
  | "xenstore"
  | "bad-network"
  | "out-of-memory"
  | "timeout"
  | "domain-gone"
  | "domain-crashed"
  | "no-domain"
  | "no-device"
  | "name-in-use"
  | "unsupported"
  | "host-closed"
  | "host-running"
  | "no-host"
  | "internal";

export class XenError extends Error {
  readonly code: XenErrorCode;

  constructor(code: XenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "XenError";
    this.code = code;
  }
}

/** A defect of xen-ts itself. No guest, image or option should ever lead here. */
export class InternalError extends XenError {
  constructor(message: string, options?: ErrorOptions) {
    super("internal", message, options);
    this.name = "InternalError";
  }
}
