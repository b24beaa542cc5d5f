import { chromium } from "playwright-core";
import type { Browser } from "playwright-core";
import { findChromium } from "./chromium.ts";

/** On a machine that does other things too. */
const TIMEOUT_MS = 60_000;

/** Starts a Chromium without a window, which calls nobody but the pages' servers. */
export async function launchBrowser(): Promise<Browser> {
  const browser = await chromium.launch({
    timeout: TIMEOUT_MS,
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
  browser.on("context", (context) => context.setDefaultTimeout(TIMEOUT_MS));
  return browser;
}
