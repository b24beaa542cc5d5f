import { UnsuitableServerError } from "./errors.ts";

/** The path of a connection string. The driver itself takes `test` where there is none. */
export function databaseOf(url: string): string | undefined {
  const path = /^mongodb(?:\+srv)?:\/\/[^/?]+\/([^?]+)/.exec(url)?.[1];
  return path === undefined ? undefined : decodeURIComponent(path);
}

/** Neither the URL nor the configuration says which database it is. */
export function missingDatabase(): Error {
  return new UnsuitableServerError(
    'Its url names no database: add it as the path, as in mongodb://host:27017/app, or set "database".',
  );
}
