import { defineConfig } from "vitest/config";

/**
 * unit: seconds, no network, no guest. slow: fuzz, hardware vectors, packages. guests: real kernels boot.
 * The set-up builds dist/, which tests of the command line and of the package run.
 */
export default defineConfig({
  test: {
    globalSetup: ["test/support/build.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/guests/**", "test/slow/**", "test/benchmark/**"],
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: { name: "slow", include: ["test/slow/**/*.test.ts"], testTimeout: 600_000, hookTimeout: 600_000 },
      },
      {
        extends: true,
        test: {
          name: "guests",
          include: ["test/guests/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
