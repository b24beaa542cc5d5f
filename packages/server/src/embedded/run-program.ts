import { spawn } from "node:child_process";

/** What a program that ended has said. */
export interface ProgramResult {
  /** 0 for success; undefined when it could not be started or was killed. */
  readonly exitCode: number | undefined;
  /** The end of what it wrote to both streams. */
  readonly output: string;
}

/** Where {@link runProgram} runs it, and as whom. */
export interface ProgramOptions {
  readonly cwd: string;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

const MAX_OUTPUT_CHARACTERS = 16_384;

/** Runs a program to its end. Never rejects: a program that cannot start is a result too. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<ProgramResult> {
  const { promise, resolve } = defer<ProgramResult>();
  let output = "";
  const keep = (chunk: unknown): void => {
    output = (output + String(chunk)).slice(-MAX_OUTPUT_CHARACTERS);
  };
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: programEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
    windowsHide: true,
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  child.once("error", (error) => resolve({ exitCode: undefined, output: error.message }));
  child.once("close", (code) => resolve({ exitCode: code ?? undefined, output }));
  return promise;
}

/**
 * The environment of PostgreSQL's programs: none of the user's `PG…` variables
 * may change what they do, and their messages are in English, to be understood.
 */
export function programEnvironment(): NodeJS.ProcessEnv {
  return { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C" };
}

function defer<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
