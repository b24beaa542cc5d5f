import { testFilteredViews } from "../support/postgres-source-filtered.ts";
import { openTestSource } from "../support/postgres-source.ts";

testFilteredViews(openTestSource);
