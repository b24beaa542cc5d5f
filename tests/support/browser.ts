import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";
import { findChromium } from "./chromium.ts";

/** Starts a Chromium without a window, which calls nobody but the pages' servers. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
