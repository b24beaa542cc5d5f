import { z } from "zod";
import { count, MAX_COUNT } from "./ranges.ts";

const planSchema = (realtime: boolean, maxConnections: number) =>
  z
    .strictObject({
      realtime: z
        .boolean()
        .default(realtime)
        .describe("Whether its tenants may subscribe, publish and mint tokens."),
      maxConnections: count(maxConnections, 0).describe("Connections of one tenant at a time, per server."),
      publishesPerSecond: z
        .int()
        .min(1)
        .max(MAX_COUNT)
        .optional()
        .describe("Events that one tenant may publish each second. Default: no limit."),
      maxTokenSeconds: count(86_400).describe("The longest life of a realtime token, in seconds."),
    })
    .prefault({});

/** The plans, and what each allows its tenants. */
export const plansSchema = z
  .strictObject({
    free: planSchema(false, 100),
    pro: planSchema(true, 10_000),
    team: planSchema(true, 100_000),
  })
  .prefault({})
  .describe("What each plan allows.");
