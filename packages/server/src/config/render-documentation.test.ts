import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { renderConfigurationDoc, renderEnvironmentHelp } from "./render-documentation.ts";
import { alternatives, environmentSettings, settings } from "./settings.ts";
import type { SettingNode } from "./settings.ts";

test("docs/configuration.md is what the schema says; vitest -u writes it", async () => {
  const file = fileURLToPath(new URL("../../../../docs/configuration.md", import.meta.url));
  await expect(renderConfigurationDoc()).toMatchFileSnapshot(file);
});

test("every setting has a description", () => {
  expect(undescribed(settings, "")).toEqual([]);
});

test("--help and the documentation name every environment variable", () => {
  expect(environmentSettings.map(({ env }) => env)).toContain("PORT");
  for (const { env } of environmentSettings) {
    expect(renderEnvironmentHelp()).toContain(env);
    expect(renderConfigurationDoc()).toContain(`environment \`${env}\``);
  }
});

function undescribed(node: SettingNode, path: string): readonly string[] {
  const members = [node, ...alternatives(node.items)].flatMap(({ properties }) =>
    Object.entries(properties ?? {}),
  );
  const nested = members.flatMap(([key, member]) => undescribed(member, `${path}.${key}`));
  const isLeaf = node.properties === undefined;
  return isLeaf && (node.description ?? "") === "" ? [path, ...nested] : nested;
}
