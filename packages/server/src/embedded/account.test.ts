import { expect, test } from "vitest";
import { parseAccounts, spawnPlace } from "./account.ts";

test("accounts are read from a passwd file, and what is not one is left out", () => {
  const passwd = [
    "root:x:0:0:root:/root:/bin/bash",
    "# a comment",
    "+::::::",
    "nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin",
    "broken:x:abc:1::/:",
    "",
  ].join("\n");
  expect(parseAccounts(passwd)).toEqual([
    { name: "root", uid: 0, gid: 0 },
    { name: "nobody", uid: 65534, gid: 65533 },
  ]);
});

test("an ordinary user names the cluster by its path", () => {
  expect(spawnPlace("/clone/data/postgres", undefined)).toEqual({
    cwd: "/clone/data/postgres",
    dataArgument: "/clone/data/postgres",
  });
});

test.runIf(process.platform === "linux")(
  "another account names it by its working folder, which it may enter through closed parents",
  () => {
    expect(spawnPlace("/root/data/postgres", { name: "nobody", uid: 65534, gid: 65533 })).toEqual({
      cwd: "/root/data/postgres",
      dataArgument: "/proc/self/cwd",
      uid: 65534,
      gid: 65533,
    });
  },
);
