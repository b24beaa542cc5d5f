export { loadConfig, type Config, type Environment } from "./config/load-config.ts";
export { startServer, type RunningServer } from "./server.ts";
