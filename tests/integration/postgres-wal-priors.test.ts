import { testPriors } from "../support/postgres-source-priors.ts";
import { openWalSource } from "../support/postgres-wal.ts";

testPriors(openWalSource);
