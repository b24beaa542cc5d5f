import type { FastifyInstance } from "fastify";
import type { FilterLimits } from "../../filter/filter-limits.ts";
import type { TenantStore } from "../../tenants/tenant-store.ts";
import { adminKeyCheck } from "./admin-key.ts";
import { connectionRoutes } from "./connection-routes.ts";
import type { ConnectionDirectory } from "./connection-routes.ts";
import { keyRoutes } from "./key-routes.ts";
import { tenantRoutes } from "./tenant-routes.ts";

/** What the admin API works on. */
export interface AdminDependencies {
  readonly store: TenantStore;
  readonly adminKey: string;
  /** Of a key's filters. */
  readonly filterLimits: FilterLimits;
  readonly connections: ConnectionDirectory;
}

/** `/v1/admin/…`: tenants, keys and connections, with the admin key as bearer. */
export function adminRoutes(app: FastifyInstance, dependencies: AdminDependencies): void {
  const check = adminKeyCheck(dependencies.adminKey);
  app.register(
    (admin, _options, done) => {
      admin.addHook("onRequest", (request, _reply, next) => {
        check(request);
        next();
      });
      tenantRoutes(admin, dependencies.store);
      keyRoutes(admin, dependencies.store, dependencies.filterLimits);
      connectionRoutes(admin, dependencies.connections);
      done();
    },
    { prefix: "/v1/admin" },
  );
}
