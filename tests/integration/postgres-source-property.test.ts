import { testHistories } from "../support/postgres-source-histories.ts";
import { openTestSource } from "../support/postgres-source.ts";

testHistories(openTestSource);
