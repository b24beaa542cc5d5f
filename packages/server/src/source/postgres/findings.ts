import type { Finding } from "../finding.ts";

export function ok(title: string): Finding {
  return { level: "ok", title };
}

export function warning(title: string, fix?: string): Finding {
  return fix === undefined ? { level: "warning", title } : { level: "warning", title, fix };
}

export function problem(title: string, fix: string): Finding {
  return { level: "error", title, fix };
}
