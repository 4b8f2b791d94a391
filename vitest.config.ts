import { defineConfig } from "vitest/config";

/** With XEN_TS_TEST_REPORT=FILE the results are also written there as JSON. */
const report = process.env.XEN_TS_TEST_REPORT;

/**
 * The projects run one after another. unit: a minute at most, no network, no guest. commands: the built command line as a process.
 * slow: fuzz, hardware vectors, packages. guests: real kernels boot.
 */
export default defineConfig({
  test: {
    reporters: report ? ["default", ["json", { outputFile: report }]] : ["default"],
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.spawn.test.ts", "test/guests/**", "test/slow/**", "test/benchmark/**"],
          setupFiles: ["test/support/properties.ts"],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "commands",
          include: ["test/**/*.spawn.test.ts"],
          globalSetup: ["test/support/build.ts"],
          testTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "slow",
          include: ["test/slow/**/*.test.ts"],
          setupFiles: ["test/support/properties.ts"],
          globalSetup: ["test/support/build.ts"],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "guests",
          include: ["test/guests/**/*.test.ts"],
          globalSetup: ["test/support/build.ts"],
          testTimeout: 300_000,
          hookTimeout: 900_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
