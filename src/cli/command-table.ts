// All commands. To add one: a file in commands/ that exports a row, and its line here.

import type { Command } from "./command.js";
import { boot } from "./commands/boot.js";
import { imageBuild } from "./commands/image-build.js";
import { imageList } from "./commands/image-list.js";
import { imageRm } from "./commands/image-rm.js";
import { run } from "./commands/run.js";
import { xenstoreCommands } from "./commands/xenstore.js";

export const commands: readonly Command<object>[] = [boot, run, imageList, imageBuild, imageRm, ...xenstoreCommands];

/** Words that only group commands. */
export const groups: Readonly<Record<string, string>> = {
  image: "guest images made from Debian packages",
  xenstore: "the XenStore of a running host",
};
