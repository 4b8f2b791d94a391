// What the build keeps of the interpreter's handlers, beside the library and beside the bundled commands, is what the sources make.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  makePreparedHandlers,
  PREPARED_HANDLERS_FILE,
  readPreparedHandlers,
} from "../../src/host/prepared-handlers.js";
import { root } from "../support/command.js";

test.each(["dist/bundle/cli", "dist/src/host"])("%s has the handlers that its sources make", (folder) => {
  const built = readFileSync(join(root, folder, PREPARED_HANDLERS_FILE));
  expect(built.equals(makePreparedHandlers())).toBe(true);
});

test("sources that run as they are have none", () => {
  expect(readPreparedHandlers()).toBe(undefined);
});
