/**
 * How the connection stands.
 *
 * `failed` is for errors that no retry mends: it stays until somebody
 * subscribes again. `closed` is for ever.
 */
export type ConnectionState =
  "idle" | "authorizing" | "connecting" | "open" | "lingering" | "waiting" | "failed" | "closed";

/** What happens to the connection. */
export type ConnectionEvent =
  /** The subscriptions have changed, and there are some. */
  | "wanted"
  /** There are no subscriptions any more. */
  | "unwanted"
  /** A token has come. */
  | "token"
  /** No token has come; another attempt may succeed. */
  | "tokenFailed"
  | "opened"
  /** The socket is gone, or something took too long; another attempt may succeed. */
  | "lost"
  /** The server has closed the socket at the end of its token, which is forgotten. */
  | "expired"
  /** No attempt can succeed. */
  | "refused"
  /** The timer has fired, the page can be seen again, or the network is back. */
  | "due"
  | "stop";

/** What is to be done on the way, in this order. */
export type ConnectionEffect =
  /** Get a token for all that is subscribed to. */
  | "authorize"
  /** Open a socket. */
  | "connect"
  /** Start a session on the open socket. */
  | "begin"
  /** Show a fresh token on the open connection. */
  | "authenticate"
  /** Send the subscriptions that were not sent yet. */
  | "synchronize"
  /** Look whether socket and token are still good, and when to look again. */
  | "check"
  | "forgetToken"
  /** Ask for a token again after a while. */
  | "retryToken"
  /** Wait before the next attempt. */
  | "wait"
  | "linger"
  /** End all subscriptions, with the error if there is one. */
  | "end";

/** The next state and what is to be done on the way; empty: nothing changes. */
type Transition = readonly [] | readonly [ConnectionState, ...ConnectionEffect[]];

/** Whatever happens, in whatever state. */
export type TransitionTable = Readonly<
  Record<ConnectionState, Readonly<Record<ConnectionEvent, Transition>>>
>;

const STAY: Transition = [];
const IDLE: Transition = ["idle"];
const AUTHORIZE: Transition = ["authorizing", "authorize"];
const RETRY: Transition = ["waiting", "wait"];
const RETRY_WITH_NEW_TOKEN: Transition = ["waiting", "forgetToken", "wait"];
const FAIL: Transition = ["failed", "forgetToken", "end"];
const CLOSE: Transition = ["closed", "end"];
const GO_ON: Transition = ["open", "check", "synchronize"];

/** The life of a connection. A state or an event without its cell does not compile. */
export const TRANSITIONS: TransitionTable = {
  idle: {
    wanted: AUTHORIZE,
    unwanted: STAY,
    token: STAY,
    tokenFailed: STAY,
    opened: STAY,
    lost: STAY,
    expired: STAY,
    refused: STAY,
    due: STAY,
    stop: CLOSE,
  },
  authorizing: {
    wanted: AUTHORIZE,
    unwanted: IDLE,
    token: ["connecting", "connect"],
    tokenFailed: RETRY,
    opened: STAY,
    lost: RETRY,
    expired: STAY,
    refused: FAIL,
    due: STAY,
    stop: CLOSE,
  },
  connecting: {
    wanted: STAY,
    unwanted: IDLE,
    token: STAY,
    tokenFailed: STAY,
    opened: ["open", "begin", "check", "synchronize"],
    // Browsers do not tell whether the token was the reason: who issues the next one does.
    lost: RETRY_WITH_NEW_TOKEN,
    expired: RETRY_WITH_NEW_TOKEN,
    refused: FAIL,
    due: STAY,
    stop: CLOSE,
  },
  open: {
    wanted: ["open", "synchronize"],
    unwanted: ["lingering", "linger"],
    token: ["open", "authenticate", "check", "synchronize"],
    tokenFailed: ["open", "retryToken", "check"],
    opened: STAY,
    lost: RETRY,
    expired: AUTHORIZE,
    refused: FAIL,
    due: GO_ON,
    stop: CLOSE,
  },
  lingering: {
    wanted: GO_ON,
    unwanted: STAY,
    token: STAY,
    tokenFailed: STAY,
    opened: STAY,
    lost: IDLE,
    expired: IDLE,
    refused: IDLE,
    due: IDLE,
    stop: CLOSE,
  },
  waiting: {
    wanted: STAY,
    unwanted: IDLE,
    token: STAY,
    tokenFailed: STAY,
    opened: STAY,
    lost: STAY,
    expired: STAY,
    refused: STAY,
    due: AUTHORIZE,
    stop: CLOSE,
  },
  failed: {
    wanted: AUTHORIZE,
    unwanted: STAY,
    token: STAY,
    tokenFailed: STAY,
    opened: STAY,
    lost: STAY,
    expired: STAY,
    refused: STAY,
    due: STAY,
    stop: CLOSE,
  },
  closed: {
    wanted: STAY,
    unwanted: STAY,
    token: STAY,
    tokenFailed: STAY,
    opened: STAY,
    lost: STAY,
    expired: STAY,
    refused: STAY,
    due: STAY,
    stop: STAY,
  },
};

/** What only some states may hold; where another one is entered it goes. */
export const HOLDERS: Readonly<Record<"socket" | "tokenRequest" | "wakeWatch", readonly ConnectionState[]>> =
  {
    socket: ["connecting", "open", "lingering"],
    tokenRequest: ["authorizing", "open"],
    wakeWatch: ["open", "waiting"],
  };
