// What a build tells about itself while it works. Rendering is somebody else's task (terminal-progress.ts is one way).

export type ProgressPhase =
  /** Fetching or checking the archive's signed index. */
  | "index"
  /** Fetching a package; `done` and `total` are bytes. */
  | "download"
  /** Unpacking a package; `done` and `total` are bytes. */
  | "unpack"
  /** Putting the initramfs together and writing it. */
  | "assemble"
  /** Something that the user should know and that does not stop the build; `what` is a sentence. */
  | "warning"
  /** The image is ready; `what` is its name. */
  | "done";

/** One step forward. `total` is undefined while it isn't known; `done === total` ends the piece of work named by `what`. */
export interface ProgressEvent {
  readonly phase: ProgressPhase;
  readonly what: string;
  readonly done: number;
  readonly total: number | undefined;
}

export type OnProgress = (event: ProgressEvent) => void;
