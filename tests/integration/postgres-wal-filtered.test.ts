import { testFilteredViews } from "../support/postgres-source-filtered.ts";
import { openWalSource } from "../support/postgres-wal.ts";

testFilteredViews(openWalSource);
