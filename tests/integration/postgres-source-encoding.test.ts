import { Client } from "pg";
import { describe, expect, it } from "vitest";
import { createApplicationDatabase, openTestSource } from "../support/postgres-source.ts";
import { openWalSource } from "../support/postgres-wal.ts";
import { dropDatabase } from "../support/postgres.ts";

/** Text with characters that the encoding has, written by a client that speaks UTF-8. */
const ENCODINGS: readonly (readonly [encoding: string, text: string])[] = [
  ["LATIN1", "naïve ½"],
  ["WIN1252", "naïve – €"],
  ["SQL_ASCII", "naïve 🐘"],
];

const MODES = [
  ["notify", openTestSource],
  ["wal", openWalSource],
] as const;

describe.each(MODES)("in mode %s", (_mode, openSource) => {
  it.each(ENCODINGS)(
    "takes a database in %s: names, tenants and rows of any size",
    async (encoding, text) => {
      const parent = await createApplicationDatabase();
      const name = `${parent.name}_${encoding.toLowerCase()}`;
      await parent.query(
        `create database ${name} encoding '${encoding}' template template0 locale_provider libc lc_collate 'C' lc_ctype 'C'`,
      );
      const url = new URL(parent.url);
      url.pathname = `/${name}`;
      const client = new Client({ connectionString: url.href, options: "-c search_path=public" });
      await client.connect();
      const test = await openSource({ url: url.href });
      try {
        await client.query(`create table "${text}" (id text primary key, tenant_id text, body text)`);
        await test.watch(text, text);
        for (const times of [1, 2_000, 200_000]) {
          await client.query(`insert into "${text}" values ($1, $2, repeat($2, $3))`, [
            `${text} ${String(times)}`,
            text,
            times,
          ]);
        }
        const changes = await test.sink.next(text, text, 3);
        expect(changes.map(({ id }) => id)).toEqual([`${text} 1`, `${text} 2000`, `${text} 200000`]);
        expect(
          changes.map(
            ({ document }) => document["body"] === text.repeat(String(document["body"]).length / text.length),
          ),
        ).toEqual([true, true, true]);
        expect(test.sink.resets).toEqual([]);
      } finally {
        await test.source.close();
        await client.end();
        await dropDatabase(name);
        await parent.drop();
      }
    },
  );
});
