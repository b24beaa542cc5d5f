import { sequenceText } from "./sequence-text.ts";

const WORDS =
  "the of and to in is you that it he was for on are as with his they I at be this have from or one had by word but not what all were we when your can said there use an each which she do how their if".split(
    " ",
  );
/** Of a linear congruential generator, as in Numerical Recipes. */
const MULTIPLIER = 1_664_525;
const INCREMENT = 1_013_904_223;

/**
 * The data of an event, of exactly so many bytes: a chat message, no two of them alike, so that it gets as much smaller
 * as what people write does.
 */
export function chatMessage(bytes: number, sequence: number): string {
  let state = Math.imul(sequence, 2_654_435_761) >>> 0;
  const random = (below: number): number => {
    state = (Math.imul(state, MULTIPLIER) + INCREMENT) >>> 0;
    return (state >>> 8) % below;
  };
  const message = {
    id: `${random(1e9).toString(36)}-${random(1e9).toString(36)}`,
    room: `room-${random(50)}`,
    author: { id: random(100_000), name: `user${random(1000)}`, avatar: `/avatars/${random(100_000)}.png` },
    createdAt: new Date(1_767_225_600_000 + sequence * 1000 + random(1000)).toISOString(),
    text: "",
    seq: sequenceText(sequence),
  };
  const textBytes = bytes - JSON.stringify(message).length;
  while (message.text.length < textBytes) message.text += `${WORDS[random(WORDS.length)] ?? ""} `;
  return JSON.stringify({ ...message, text: message.text.slice(0, textBytes) });
}
