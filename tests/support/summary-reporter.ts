import type { Reporter, TestModule } from "vitest/node";

/** Ends the run's output with one line: `N passed, N failed`. */
export default class SummaryReporter implements Reporter {
  // A run that fails before its first test does not end in order.
  #summary = "0 passed, 1 failed";

  onInit(): void {
    // The default reporter still prints its summary after this one's last hook.
    process.once("exit", () => process.stdout.write(`${this.#summary}\n`));
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    let passed = 0;
    let failed = errors.length;
    for (const module of modules) {
      // A file that fails outside its tests, such as by an import, counts as one failure.
      failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") passed += 1;
        else if (state === "failed") failed += 1;
      }
    }
    this.#summary = `${passed} passed, ${failed} failed`;
  }
}
