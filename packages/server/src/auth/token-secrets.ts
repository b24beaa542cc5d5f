/** Shorter secrets can be found by trying, from one token. */
const RECOMMENDED_LENGTH = 32;

/** The secrets of a list separated by commas: the first one signs, all are accepted. */
export function parseTokenSecrets(text: string): readonly string[] {
  return text
    .split(",")
    .map((secret) => secret.trim())
    .filter((secret) => secret !== "");
}

/** Whether one of them is shorter than it should be. */
export function hasShortSecret(secrets: readonly string[]): boolean {
  return secrets.some((secret) => secret.length < RECOMMENDED_LENGTH);
}
