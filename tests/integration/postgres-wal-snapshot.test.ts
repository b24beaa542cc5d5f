import { describeSnapshots } from "../support/postgres-source-snapshots.ts";
import { openWalSource } from "../support/postgres-wal.ts";

describeSnapshots(openWalSource);
