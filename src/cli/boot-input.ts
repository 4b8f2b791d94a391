// What a guest is booted from: kernel, ramdisk and command line, from the options and the image. In our own images the command of
// --exec and the terminal's size travel on the command line (images/README.md, "Protocol between host and image").

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { writeCpio } from "../index.js";
import type { GuestOptions } from "./guest-options.js";
import { chooseImage } from "./image-choice.js";

const DEFAULT_CMDLINE = "console=hvc0 earlyprintk=xen";
/** Xen passes at most 1023 bytes of command line; the rest is room for what the user adds. */
const MAX_EXEC_OPTION = 700;

export interface BootInput {
  readonly kernel: string;
  readonly ramdisk: string | Uint8Array | undefined;
  readonly cmdline: string;
  /** Markers of --exec's output when the image itself runs the command. */
  readonly execToken: string | undefined;
  /** The ramdisk is one of ours. */
  readonly isImage: boolean;
  /** The image's own disk, which isn't to be written. */
  readonly disk?: string;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export async function bootInput(
  word: string | undefined,
  options: GuestOptions,
  terminal: TerminalSize | undefined,
): Promise<BootInput> {
  const cmdline = options.cmdline ?? DEFAULT_CMDLINE;
  // A kernel of the user's own comes without our ramdisk unless the image is named: its modules are another kernel's.
  if (options.kernel !== undefined && (word === undefined || options.ramdisk !== undefined))
    return { kernel: options.kernel, ramdisk: options.ramdisk, cmdline, execToken: undefined, isImage: false };
  const image = await chooseImage(word);
  const disk = image.disk === undefined ? {} : { disk: image.disk };
  const kernel = options.kernel ?? image.kernel;
  if (options.ramdisk !== undefined)
    return { kernel, ramdisk: options.ramdisk, cmdline, execToken: undefined, isImage: false, ...disk };
  const words = [cmdline];
  if (terminal) words.push(...terminalWords(terminal));
  if (options.exec === undefined)
    return { kernel, ramdisk: image.initrd, cmdline: words.join(" "), execToken: undefined, isImage: true, ...disk };

  const token = randomBytes(8).toString("hex");
  const encoded = Buffer.from(options.exec).toString("base64");
  if (encoded.length <= MAX_EXEC_OPTION) {
    words.push(`xents.token=${token}`, `xents.exec=${encoded}`);
    return { kernel, ramdisk: image.initrd, cmdline: words.join(" "), execToken: token, isImage: true, ...disk };
  }
  const ramdisk = Buffer.concat([await readFile(image.initrd), commandArchive(token, encoded)]);
  return { kernel, ramdisk, cmdline: words.join(" "), execToken: token, isImage: true, ...disk };
}

function terminalWords({ rows, columns }: TerminalSize): string[] {
  const term = process.env.TERM ?? "";
  const name = /^[\w.+-]+$/.test(term) ? [`xents.term=${term}`] : [];
  return [`xents.rows=${rows}`, `xents.cols=${columns}`, ...name];
}

/** A second initramfs archive with a command that is too long for the command line. */
function commandArchive(token: string, encoded: string): Uint8Array {
  const file = (path: string, text: string) => ({ kind: "file", path, data: Buffer.from(text), mode: 0o600 }) as const;
  return writeCpio([file("etc/xents/exec", encoded), file("etc/xents/token", token)]);
}
