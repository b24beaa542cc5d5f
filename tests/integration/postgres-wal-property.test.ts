import { testHistories } from "../support/postgres-source-histories.ts";
import { openWalSource } from "../support/postgres-wal.ts";

testHistories(openWalSource);
