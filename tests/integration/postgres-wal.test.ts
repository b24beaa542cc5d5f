import { describeChanges } from "../support/postgres-source-changes.ts";
import { openWalSource } from "../support/postgres-wal.ts";

describeChanges(openWalSource);
