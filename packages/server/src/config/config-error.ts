/** The configuration cannot be used. The message is one line: the key, what is wrong, and the fix; never a value. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
