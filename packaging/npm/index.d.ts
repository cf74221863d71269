/** Options of a server. */
export interface Options {
  /** Further options of `larder serve`, such as `["--memory", "256MiB"]`. */
  args?: readonly string[];
  /** A larder.toml. None is read otherwise. */
  config?: string;
  /** The environment of the process. That of this process otherwise. */
  env?: Readonly<Record<string, string | undefined>>;
  /** The longest time for the start, and for the end, in milliseconds: a minute otherwise. */
  timeout?: number;
}

/** larder didn't start. The message is larder's own. */
export class StartError extends Error {}

/** A larder that runs. It ends with `stop`, and also if this process ends or is killed. */
export class Server {
  private constructor();
  /** The port of memcached's protocols. */
  readonly memcachedPort: number;
  /** The port of RESP, Redis's protocol. */
  readonly respPort: number;
  /** The number of the process. */
  readonly pid: number;
  /** The address of a listener, as larder prints it: of "memcached", "resp", "udp", "unix" or "admin". */
  address(protocol: string): string;
  /** The log so far. Empty after the end. */
  log(): string;
  /** Ends the server and waits until it has ended. Does nothing if it has. */
  stop(): Promise<void>;
}

/** Starts a larder on free ports of this machine, and waits until it listens. Throws a StartError if it doesn't. */
export function start(options?: Options): Promise<Server>;

/** The path of the program. */
export function program(): string;
