import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const alias = {
  "@paperdb/protocol": fileURLToPath(new URL("packages/protocol/src/index.ts", import.meta.url)),
};

export default defineConfig({
  resolve: { alias },
  test: {
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["packages/*/src/**/*.test.ts"] },
      },
    ],
  },
});
