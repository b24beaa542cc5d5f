import type { Finding } from "../finding.ts";
import type { Logger } from "pino";

/** stub */
export interface DoctorOptions {
  readonly name: string;
  readonly url: string;
  readonly log: Logger;
}
export async function diagnose(_options: DoctorOptions): Promise<readonly Finding[]> {
  return [];
}
