import { defineConfig } from "vitest/config";

/** unit: seconds, no network, no guest. slow: fuzz, hardware vectors, packages. guests: real kernels boot. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/guests/**", "test/slow/**", "test/benchmark/**"],
        },
      },
      { test: { name: "slow", include: ["test/slow/**/*.test.ts"], testTimeout: 600_000, hookTimeout: 600_000 } },
      {
        test: {
          name: "guests",
          include: ["test/guests/**/*.test.ts"],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
