import { describeSchema } from "../support/postgres-source-definitions.ts";
import { openWalSource } from "../support/postgres-wal.ts";

describeSchema(openWalSource);
