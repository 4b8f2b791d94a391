// The one error of this room: it says where in the file something is wrong.

import { XenError } from "../host/errors.js";

export interface ConfigPlace {
  readonly file: string;
  /** From 1; 0: the file as a whole. */
  readonly line: number;
  readonly key?: string;
}

export class ConfigError extends XenError {
  readonly file: string;
  readonly line: number;
  readonly key: string | undefined;

  constructor(place: ConfigPlace, message: string) {
    super("bad-config", `${formatPlace(place)}: ${message}`);
    this.name = "ConfigError";
    this.file = place.file;
    this.line = place.line;
    this.key = place.key;
  }
}

/** "f.cfg:3: memory" */
export function formatPlace({ file, line, key }: ConfigPlace): string {
  return [line > 0 ? `${file}:${line}` : file, ...(key === undefined ? [] : [key])].join(": ");
}
