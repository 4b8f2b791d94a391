// xen-ts image rm: removes an image from the cache; downloaded packages stay.

import { removeImage, resolveImageName } from "../../index.js";
import { command } from "../command.js";

export const imageRm = command<object>({
  path: ["image", "rm"],
  summary: "remove an image; downloaded packages stay in the cache",
  operands: [{ name: "name", description: "image to remove", required: true }],
  options: {},
  run: async ([name]) => {
    await removeImage(name!);
    process.stdout.write(`removed ${resolveImageName(name)}\n`);
    return 0;
  },
});
