// Installs what the tests need besides npm packages, where it is missing and can be had:
// Chromium, PostgreSQL 15 as a second version to test on, a server that speaks MongoDB's protocol, and a
// WebSocket client of another language.
// Runs before `npm test`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CREATE_CLUSTER_CONFIG = "/etc/postgresql-common/createcluster.conf";

const chromiumPaths = JSON.parse(readFileSync(new URL("chromium-paths.json", import.meta.url), "utf8"));
const chromiumBin = process.env["CHROMIUM_BIN"];
const canInstall = process.getuid?.() === 0 && runsQuietly("apt-get", ["--version"]);
let listsAreFresh = false;

if (chromiumBin !== undefined) {
  if (!existsSync(chromiumBin)) fail(`CHROMIUM_BIN names ${chromiumBin}, which does not exist.`);
} else if (!hasChromium()) {
  if (canInstall) install("chromium");
  if (!hasChromium()) {
    fail(
      "The browser tests need Chromium, which is not installed: install it (Debian: `apt-get install chromium`), or set CHROMIUM_BIN to its path.",
    );
  }
}

if (!hasPostgres15()) {
  if (canInstall) {
    refuseDefaultCluster();
    install("postgresql-15");
  }
  if (!hasPostgres15()) {
    say(
      "PostgreSQL 15 is not installed (Debian: `apt-get install postgresql-15`): the tests run on PostgreSQL 18 only.",
    );
  }
}

// With MONGODB_URL the tests run on that server, and nothing is needed.
if (
  process.env["MONGODB_URL"] === undefined &&
  !installPython("mongo-stand-in.json", "which the MongoDB tests run on")
) {
  fail(
    "The MongoDB tests need a server: install Python 3.10 or newer with venv (Debian: `apt-get install python3-venv`) and a way to PyPI, or set MONGODB_URL to a replica set for tests.",
  );
}

if (!installPython("python-websockets.json", "a WebSocket client of another language")) {
  fail(
    "The tests of WebSocket frames need the Python package `websockets`: install Python 3.10 or newer with venv (Debian: `apt-get install python3-venv`) and a way to PyPI.",
  );
}

const example = fileURLToPath(new URL("../../examples/mongoose", import.meta.url));
if (!existsSync(join(example, "node_modules/mongoose"))) {
  say("Installing mongoose for its example …");
  if (!runs("npm", ["ci", "--fetch-retries", "5", "--prefix", example]))
    fail("The example needs its packages: run `npm ci` in examples/mongoose.");
}

/**
 * A folder of its own under the clone, so that nothing of the machine's Python changes.
 *
 * @param {string} file - names the package, the folder, and a file that is there once it is installed.
 * @param {string} purpose
 * @returns {boolean} whether it is there.
 */
function installPython(file, purpose) {
  const { requirement, folder, program } = JSON.parse(readFileSync(new URL(file, import.meta.url), "utf8"));
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const environment = join(root, folder);
  if (existsSync(join(environment, program))) return true;
  const python = process.env["PYTHON"] ?? "python3";
  say(`Installing ${requirement}, ${purpose}, into ${folder} …`);
  rmSync(environment, { recursive: true, force: true });
  // Debian splits venv off; what a failed attempt left is in the way of the next.
  if (!runs(python, ["-m", "venv", environment])) {
    if (canInstall) install("python3-venv");
    if (!runs(python, ["-m", "venv", "--clear", environment])) return false;
  }
  const options = ["--disable-pip-version-check", "--retries", "10", "--timeout", "60"];
  if (runs(join(environment, "bin/pip"), ["install", ...options, requirement])) return true;
  rmSync(environment, { recursive: true, force: true });
  return false;
}

function hasChromium() {
  return chromiumPaths.some((path) => existsSync(path));
}

function hasPostgres15() {
  return existsSync("/usr/lib/postgresql/15/bin/postgres");
}

/** @param {string} name - of a Debian package. */
function install(name) {
  if (!listsAreFresh && !runsQuietly("apt-cache", ["show", name])) {
    say("Updating the package lists …");
    runApt(["update"]);
    listsAreFresh = true;
  }
  say(`Installing ${name} for the tests …`);
  const args = ["install", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", name];
  if (runApt(args) || listsAreFresh) return;
  // The lists may name a version that the mirror no longer has.
  runApt(["update"]);
  listsAreFresh = true;
  runApt(args);
}

/** Debian's package would make a cluster and start it as a service: the tests start their own. */
function refuseDefaultCluster() {
  if (existsSync(CREATE_CLUSTER_CONFIG)) return;
  mkdirSync(dirname(CREATE_CLUSTER_CONFIG), { recursive: true });
  writeFileSync(CREATE_CLUSTER_CONFIG, "create_main_cluster = false\n");
}

/** @param {string[]} args */
function runApt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const { status } = spawnSync("apt-get", ["-q", ...args], { env, stdio: ["ignore", "inherit", "inherit"] });
  return status === 0;
}

/** @param {string} program @param {string[]} args */
function runsQuietly(program, args) {
  return spawnSync(program, args, { stdio: "ignore" }).status === 0;
}

/** Shows what the program says. @param {string} program @param {string[]} args */
function runs(program, args) {
  return spawnSync(program, args, { stdio: ["ignore", "inherit", "inherit"] }).status === 0;
}

/** @param {string} sentence */
function say(sentence) {
  process.stdout.write(`${sentence}\n`);
}

/** @param {string} sentence @returns {never} */
function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}
