import { expect, it } from "vitest";
import { answerDeflateOffer } from "./deflate-offer.ts";

const ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

it.each([
  ["permessage-deflate", ANSWER],
  ["permessage-deflate; client_max_window_bits", ANSWER],
  ["permessage-deflate; client_no_context_takeover; server_no_context_takeover", ANSWER],
  ["x-webkit-deflate-frame, permessage-deflate;client_max_window_bits=10", ANSWER],
  ["permessage-deflate; server_max_window_bits=13", `${ANSWER}; server_max_window_bits=13`],
  ['permessage-deflate; server_max_window_bits="15"', `${ANSWER}; server_max_window_bits=15`],
  ["permessage-deflate; server_max_window_bits=9, permessage-deflate", ANSWER],
])("takes %j", (offer, answer) => {
  expect(answerDeflateOffer(offer)).toBe(answer);
});

it.each([
  undefined,
  "",
  "permessage-bzip2",
  "permessage-deflate; server_max_window_bits=12",
  "permessage-deflate; server_max_window_bits",
  "permessage-deflate; server_max_window_bits=16",
  'permessage-deflate; client_max_window_bits="15',
  "permessage-deflate; client_max_window_bits=7",
  "permessage-deflate; server_no_context_takeover=1",
  "permessage-deflate; client_max_window_bits; client_max_window_bits",
  "permessage-deflate; something_else",
])("declines %j", (offer) => {
  expect(answerDeflateOffer(offer)).toBeUndefined();
});
